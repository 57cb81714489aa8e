/** @vitest-environment jsdom */
/** What a reader draws becomes the place that is stored: paint before rectangles, the last rectangle before others, and nothing by accident. */

import { beforeEach, expect, test } from 'vitest';

import { CT, Lightbox } from '../lightbox';
import { Boxes } from './boxes';
import { Editing } from './editing';
import { Images } from './images';
import { Masks } from './masks';
import { packed, unpacked } from './pixels';
import type { Place } from './places';

const NODULE = { tracking_uid: '2.25.7', series_uid: CT, instance_uid: `${CT}.1`, start: [0, 2, 2], stop: [3, 6, 6] } as unknown as Place;

let viewer: Lightbox;
let masks: Masks;
let editing: Editing;

beforeEach(() => {
  viewer = new Lightbox();
  const images = new Images(viewer.host);
  masks = new Masks(viewer.host, images);
  editing = new Editing(viewer.host, images, new Boxes(viewer.host, images, () => null), masks);
});

/** The labelmap that the reader paints on. */
const copy = () => viewer.laid.find(id => id.startsWith('sightline-edit'))!;
const withMask = () => masks.lay(viewer.segmentation(NODULE.tracking_uid, NODULE), 'viewport');

test('a new place is the last rectangle that was drawn, on the slice that it was drawn on', () => {
  expect(editing.drawn()).toBeNull();
  viewer.rectangle('first', 0, [1, 1], [3, 3]);
  viewer.rectangle('last', 2, [2, 3], [5, 8]);
  viewer.rectangle('ours', 1, [2, 2], [6, 6], NODULE.tracking_uid);
  expect(editing.drawn()).toEqual({ tracking_uid: null, series_uid: CT, start: [2, 2, 3], stop: [3, 5, 8], mask: null });
});

test('paint wins over a rectangle: the box follows from it', async () => {
  viewer.rectangle('rectangle', 0, [1, 1], [3, 3]);
  await editing.draw('brush', null);
  expect(editing.drawn()).toMatchObject({ start: [0, 1, 1], mask: null }); // as long as nothing is painted
  viewer.paint(copy(), { start: [1, 4, 4], stop: [3, 5, 6] });
  expect(editing.drawn()).toEqual({
    tracking_uid: null,
    series_uid: CT,
    start: [1, 4, 4],
    stop: [3, 5, 6],
    mask: packed(new Uint8Array(4).fill(1)),
  });
});

test('a place that nobody touched is no edit', () => {
  viewer.rectangle('ours', 1, [2, 2], [6, 6], NODULE.tracking_uid);
  expect(() => editing.edited(NODULE)).toThrow('Nothing was changed on the image');
});

test('the box of a place is moved, or a rectangle drawn in its stead; its slices stay', () => {
  const box = viewer.rectangle('ours', 1, [2, 2], [6, 6], NODULE.tracking_uid);
  viewer.rectangle('readers', 3, [0, 0], [2, 4]);
  expect(editing.edited(NODULE)).toMatchObject({ start: [0, 0, 0], stop: [3, 2, 4], mask: null });
  box.data.handles.points = viewer.rectangle('moved', 1, [3, 3], [7, 8]).data.handles.points;
  expect(editing.edited(NODULE)).toMatchObject({ start: [0, 3, 3], stop: [3, 7, 8], mask: null });
});

test('of a mask stays what is in the box that the reader leaves', async () => {
  await withMask();
  viewer.rectangle('ours', 1, [4, 4], [9, 9], NODULE.tracking_uid);
  const { start, stop, mask } = editing.edited(NODULE);
  expect({ start, stop }).toEqual({ start: [0, 4, 4], stop: [3, 9, 9] });
  expect(unpacked(mask!, { start: start!, stop: stop! }).pixels.filter(Boolean)).toHaveLength(3 * 2 * 2);
});

test('brush and eraser work on a copy of the mask, and an empty copy is not stored', async () => {
  await withMask();
  await editing.draw('eraser', NODULE);
  viewer.paint(copy(), { start: [0, 2, 2], stop: [1, 6, 6] }, 0);
  expect(editing.edited(NODULE)).toMatchObject({ start: [1, 2, 2], stop: [3, 6, 6] });
  expect(masks.blockOf(NODULE.tracking_uid, CT)).toMatchObject({ start: [0, 2, 2], stop: [3, 6, 6] }); // the report's own
  viewer.paint(copy(), NODULE, 0);
  expect(() => editing.edited(NODULE)).toThrow('Nothing is left of the mask');
});

test('what was stored or given up is taken away, and what else the reader has drawn stays', async () => {
  viewer.rectangle('of before', 0, [1, 1], [3, 3]);
  viewer.rectangle('stored', 2, [2, 3], [5, 8]);
  await editing.draw('brush', null);
  editing.drawn();
  editing.clear();
  expect(viewer.annotations.map(each => each.annotationUID)).toEqual(['of before']);
  expect(viewer.laid).toEqual([]);
});

test('the tool that was in the hand before is given back', async () => {
  await editing.draw('box', null);
  expect(viewer.tool).toBe('RectangleROI');
  await editing.draw('brush', null);
  expect(viewer.tool).toBe('SightlineBrush');
  await editing.draw(null, null);
  expect(viewer.tool).toBe('WindowLevel');
});
