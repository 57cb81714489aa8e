/** Dashed frames on the images around what is in no report: a draft, a step of the reading, what a question cites. */

import type { Canvas } from '../ohif';
import type { Images } from './images';
import { worldAt } from './slices';

export interface Outline {
  series_uid: string;
  start: readonly number[];
  stop: readonly number[];
  colour: string;
}

export class Outlines {
  private outlines: readonly Outline[] = [];
  private frames: HTMLElement[] = [];

  constructor(private readonly images: Images) {}

  /** Draw these instead of those before; they follow the image when it is moved, and show on the slices of their box. */
  set(outlines: readonly Outline[]): void {
    const { IMAGE_RENDERED } = window.cornerstone.Enums.Events;
    document.removeEventListener(IMAGE_RENDERED, this.follow, true);
    this.frames.forEach(frame => frame.remove());
    this.outlines = outlines;
    this.frames = [];
    if (outlines.length > 0) {
      document.addEventListener(IMAGE_RENDERED, this.follow, true); // these events do not bubble
      outlines.forEach(({ series_uid, start }) => {
        const slice = this.images.slicesOf(series_uid)[start[0]!];
        slice && this.images.showing(slice.displaySetUid).forEach(canvas => this.place(canvas));
      });
    }
  }

  private readonly follow = (event: Event): void => {
    const viewport = event.target instanceof HTMLElement && window.cornerstone.getEnabledElement(event.target)?.viewport;
    if (viewport) {
      this.place(viewport);
    }
  };

  private place(canvas: Canvas): void {
    this.frames = this.frames.filter(frame => !canvas.element.contains(frame) || frame.remove());
    const current = canvas.getCurrentImageId?.();
    for (const { series_uid, start, stop, colour } of this.outlines) {
      const slice = this.images.slicesOf(series_uid).findIndex(each => each.imageId === current);
      if (slice < start[0]! || slice >= stop[0]!) {
        continue;
      }
      const plane = this.images.planeOf(current!);
      const corners = [
        [start[1]!, start[2]!],
        [stop[1]!, stop[2]!],
      ].map(([row, column]) => canvas.worldToCanvas(worldAt(row! - 0.5, column! - 0.5, plane)));
      const [left, right] = corners.map(([x]) => x).sort((a, b) => a - b) as [number, number];
      const [top, bottom] = corners.map(([, y]) => y).sort((a, b) => a - b) as [number, number];
      this.frames.push(frameOn(canvas.element, { left, top, width: right - left, height: bottom - top }, colour));
    }
  }
}

/** A dashed frame on an element, in pixels of its own, which lets the pointer through. */
export function frameOn(
  element: HTMLElement,
  { left, top, width, height }: { left: number; top: number; width: number; height: number },
  colour: string
): HTMLElement {
  const frame = document.createElement('div');
  frame.className = 'sightline-outline';
  frame.setAttribute('aria-hidden', 'true');
  Object.assign(frame.style, {
    position: 'absolute',
    left: `${left}px`,
    top: `${top}px`,
    width: `${width}px`,
    height: `${height}px`,
    border: `2px dashed ${colour}`,
    boxSizing: 'border-box',
    pointerEvents: 'none',
  });
  element.append(frame);
  return frame;
}
