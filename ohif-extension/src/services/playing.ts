/** The steps of a reading, visited one after the other. */

import type { Look } from './reports';
import { Store } from './store';

const LEAST_MS = 2000;
const MS_A_WORD = 320;

/** One step; of a sentence of the report also its number. */
export type Step = Look & { number?: number };

interface State {
  steps: readonly Step[];
  /** Index of the step that is shown; none while nothing is played. */
  at: number | null;
  /** Whether it goes on by itself. */
  isGoing: boolean;
}

export class Playing extends Store<State> {
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly visit: (step: Step) => void) {
    super({ steps: [], at: null, isGoing: false });
  }

  /** Start with the first step. A reader who asks for less motion goes on by hand. */
  start(steps: readonly Step[]): void {
    if (steps.length > 0) {
      this.set({ steps, isGoing: !wantsLessMotion() });
      this.goTo(0);
    }
  }

  /** Go some steps on or back; after the last it ends. */
  move(by: number): void {
    const { at, steps } = this.get();
    if (at === null || at + by >= steps.length) {
      this.stop();
    } else {
      this.goTo(Math.max(0, at + by));
    }
  }

  pause(): void {
    clearTimeout(this.timer);
    this.set({ isGoing: !this.get().isGoing });
    this.wait();
  }

  stop(): void {
    clearTimeout(this.timer);
    this.set({ at: null, isGoing: false });
  }

  private goTo(at: number): void {
    this.set({ at });
    this.visit(this.get().steps[at]!);
    this.wait();
  }

  private wait(): void {
    clearTimeout(this.timer);
    const { at, steps, isGoing } = this.get();
    if (isGoing && at !== null) {
      const words = steps[at]!.words.split(/\s+/).length;
      this.timer = setTimeout(() => this.move(1), Math.max(LEAST_MS, words * MS_A_WORD));
    }
  }
}

function wantsLessMotion(): boolean {
  return window.matchMedia?.('(prefers-reduced-motion: reduce)').matches ?? false;
}
