/** @vitest-environment jsdom */
/** An answer that nobody has kept is drawn where the reader looks, and goes without a trace. */

import { beforeEach, expect, test } from 'vitest';

import { CT, Lightbox } from '../lightbox';
import { Drafts } from './drafts';
import { Images } from './images';
import { Outlines } from './outlines';
import { packed } from './pixels';
import type { Drawn } from './places';

let viewer: Lightbox;
let drafts: Drafts;

beforeEach(() => {
  viewer?.element.remove();
  viewer = new Lightbox();
  const images = new Images(viewer.host);
  drafts = new Drafts(viewer.host, images, new Outlines(images));
});

const answer = (first: number, last: number): Drawn => ({
  series_uid: CT,
  instance_uid: '',
  start: [first, 2, 2],
  stop: [last + 1, 4, 4],
  mask: packed(new Uint8Array((last + 1 - first) * 4).fill(1)),
});
const frames = () => document.querySelectorAll('.sightline-outline').length;

test('a reader who asked on one of its slices stays there; to another one the answer leads', async () => {
  viewer.slice = 3;
  await drafts.show([answer(0, 3)]);
  expect(viewer.slice).toBe(3);
  expect(frames()).toBe(1);
  await drafts.show([answer(0, 2)]);
  expect(viewer.slice).toBe(1);
});

test('an answer takes the place of the one before, and discarding it leaves nothing', async () => {
  await drafts.show([answer(1, 1), answer(1, 2)]);
  expect(viewer.laid).toHaveLength(2);
  await drafts.show([answer(1, 1)]);
  expect(viewer.laid).toHaveLength(1);
  drafts.clear();
  expect([viewer.laid, frames()]).toEqual([[], 0]);
});

test('of two answers that come at once the last is drawn', async () => {
  await Promise.all([drafts.show([answer(0, 3)]), drafts.show([answer(1, 1)])]);
  expect(viewer.laid).toEqual(['sightline-draft-2-0']);
});
