/** @vitest-environment jsdom */
/** One click or one box is what the reader points with; nothing else happens to the image meanwhile. */

import { beforeEach, expect, test } from 'vitest';

import { CT, Lightbox } from '../lightbox';
import { Images } from './images';
import { Picking, type PickedBox } from './picking';

let viewer: Lightbox;
let picking: Picking;

beforeEach(() => {
  viewer = new Lightbox();
  picking = new Picking(new Images(viewer.host));
});

/** A mouse event at a row and column of the image; returns whether the viewer's own tools would hear it. */
function mouse(type: string, [row, column]: readonly number[], target: Element = viewer.element): boolean {
  let isHeard = false;
  const hear = () => (isHeard = true);
  target.addEventListener(type, hear);
  target.dispatchEvent(new MouseEvent(type, { bubbles: true, cancelable: true, clientX: column! * 2, clientY: row! * 2 }));
  target.removeEventListener(type, hear);
  return isHeard;
}

const frames = () => document.querySelectorAll('.sightline-outline').length;
const spot = (row: number, column: number) => ({ seriesUid: CT, slice: 1, row, column });

test('a click is a point, and the tools of the viewer do not hear it', async () => {
  const picked = picking.pick(false);
  expect(['mousedown', 'mousemove', 'mouseup'].map(type => mouse(type, [3, 4]))).toEqual([false, false, false]);
  expect(await picked).toEqual({ from: spot(3, 4), to: spot(3, 4) });
  expect(mouse('mousedown', [3, 4])).toBe(true);
});

test('a box goes from where the button went down to where it came up, with a frame meanwhile', async () => {
  const picked = picking.pick(true);
  mouse('mousedown', [6, 8]);
  mouse('mousemove', [4, 4]);
  expect(frames()).toBe(1);
  mouse('mouseup', [2, 3]);
  expect(await picked).toEqual({ from: spot(6, 8), to: spot(2, 3) });
  expect(frames()).toBe(0);
});

test('beside the image nothing is picked, and the reader may try again', async () => {
  const picked = picking.pick(false);
  mouse('mousedown', [3, 4], document.body);
  mouse('mouseup', [3, 4], document.body);
  mouse('mousedown', [30, 4]);
  mouse('mouseup', [30, 4]);
  mouse('mousedown', [5, 5]);
  mouse('mouseup', [5, 5]);
  expect(await picked).toEqual({ from: spot(5, 5), to: spot(5, 5) });
});

test('Escape, another pick, and whoever cancels end it with nothing', async () => {
  const endings: ((pending: Promise<PickedBox | null>) => void)[] = [
    () => document.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape' })),
    () => void picking.pick(true),
    () => picking.cancel(),
  ];
  for (const end of endings) {
    const picked = picking.pick(false);
    end(picked);
    expect(await picked).toBeNull();
  }
  picking.cancel();
  expect(document.head.querySelectorAll('style')).toHaveLength(0);
});
