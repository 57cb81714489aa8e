/** The reader's hand on the mouse: OHIF ends a drag when it removes any measurement, so what removes one waits for the hand. */

export class Hand {
  private isDown = false;
  private waiting: (() => void)[] = [];

  start(): void {
    EVENTS.forEach(name => window.addEventListener(name, this.moved, true));
  }

  stop(): void {
    EVENTS.forEach(name => window.removeEventListener(name, this.moved, true));
    this.set(false);
  }

  /** Resolves at once where no button is held, or else when the last one is let go. */
  free(): Promise<void> {
    return this.isDown ? new Promise(resolve => this.waiting.push(resolve)) : Promise.resolve();
  }

  private readonly moved = (event: Event): void => {
    // Where a button was let go outside the window, the next move tells.
    this.set(event instanceof MouseEvent && event.type !== 'pointercancel' && event.buttons > 0);
  };

  private set(isDown: boolean): void {
    this.isDown = isDown;
    if (!isDown && this.waiting.length > 0) {
      const waiting = this.waiting;
      this.waiting = [];
      setTimeout(() => waiting.forEach(go => go())); // the tools hear of the same event after us
    }
  }
}

const EVENTS = ['pointerdown', 'pointermove', 'pointerup', 'pointercancel'] as const;
