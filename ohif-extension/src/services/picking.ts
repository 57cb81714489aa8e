/** The reader points at something on an image: one click, or one box. The viewer's own tools rest meanwhile. */

import type { Canvas } from '../ohif';
import type { Images, Spot } from './images';
import { frameOn } from './outlines';

const COLOUR = '#ffffff';
const CURSOR = '.cornerstone-viewport-element, .cornerstone-viewport-element * { cursor: crosshair !important; }';

export interface PickedBox {
  from: Spot;
  to: Spot;
}

export class Picking {
  private end: (picked: PickedBox | null) => void = () => undefined;

  constructor(private readonly images: Images) {}

  /** Where the button went down and where it came up; null after Escape, or when something else is picked instead. */
  pick(isBox: boolean): Promise<PickedBox | null> {
    this.end(null);
    return new Promise(resolve => {
      const style = document.createElement('style');
      style.textContent = CURSOR;
      document.head.append(style);
      let canvas: Canvas | null = null;
      let down: [number, number] = [0, 0];
      let frame: HTMLElement | null = null;

      const end = (picked: PickedBox | null) => {
        this.end = () => undefined;
        frame?.remove();
        style.remove();
        Object.entries(listeners).forEach(([name, listener]) => document.removeEventListener(name, listener as EventListener, true));
        resolve(picked);
      };
      const listeners = {
        mousedown: (event: MouseEvent) => {
          canvas = event.button === 0 ? canvasUnder(event) : null;
          if (canvas) {
            down = placeOn(canvas, event);
            hold(event);
          }
        },
        mousemove: (event: MouseEvent) => {
          if (canvas) {
            hold(event);
            frame?.remove();
            frame = isBox ? frameOn(canvas.element, between(down, placeOn(canvas, event)), COLOUR) : null;
          }
        },
        mouseup: (event: MouseEvent) => {
          if (!canvas) {
            return;
          }
          hold(event);
          const from = this.images.spotAt(canvas, ...down);
          const to = isBox ? this.images.spotAt(canvas, ...placeOn(canvas, event)) : from;
          canvas = null;
          frame?.remove();
          if (from && to && from.slice === to.slice) {
            end({ from, to }); // else it was beside the image: again
          }
        },
        click: (event: MouseEvent) => canvasUnder(event) && hold(event),
        keydown: (event: KeyboardEvent) => {
          if (event.key === 'Escape') {
            hold(event);
            end(null);
          }
        },
      };
      this.end = end;
      Object.entries(listeners).forEach(([name, listener]) => document.addEventListener(name, listener as EventListener, true));
    });
  }

  cancel(): void {
    this.end(null);
  }
}

function hold(event: Event): void {
  event.preventDefault();
  event.stopImmediatePropagation();
}

function canvasUnder({ target }: MouseEvent): Canvas | null {
  const element = target instanceof Element ? target.closest<HTMLElement>('[data-viewport-uid]') : null;
  return (element && window.cornerstone.getEnabledElement(element)?.viewport) ?? null;
}

function placeOn(canvas: Canvas, event: MouseEvent): [number, number] {
  const { left, top } = canvas.element.getBoundingClientRect();
  return [event.clientX - left, event.clientY - top];
}

function between([x, y]: [number, number], [u, v]: [number, number]) {
  return { left: Math.min(x, u), top: Math.min(y, v), width: Math.abs(u - x), height: Math.abs(v - y) };
}
