/** Slices are counted as the reports count them, and pixels are where PS3.3 says. */

import { expect, test } from 'vitest';

import type { DisplaySet, ImagePlane, Instance, Point } from '../ohif';
import { boxOf, inSliceOrder, nearestSlice, pixelAt, worldAt, type Metadata } from './slices';

const PLANE: ImagePlane = {
  imagePositionPatient: [10, -20, 30],
  rowCosines: [0.8, 0.6, 0],
  columnCosines: [0, 0, -1],
  rowPixelSpacing: 0.4,
  columnPixelSpacing: 0.2,
};

function series(instances: Record<string, Partial<Instance>>): { order: (...sets: string[][]) => string[]; metadata: Metadata } {
  const metadata = {
    get: (kind: string, imageId: string) =>
      kind === 'instance'
        ? { SOPInstanceUID: imageId.split('#')[0], ...instances[imageId] }
        : { ...PLANE, imagePositionPatient: instances[imageId]!.ImagePositionPatient, rowCosines: [1, 0, 0], columnCosines: [0, 1, 0] },
  } as unknown as Metadata;
  const order = (...sets: string[][]) => {
    const displaySets = sets.map((_, index) => ({ displaySetInstanceUID: String(index) }) as DisplaySet);
    return inSliceOrder(displaySets, each => sets[Number(each.displaySetInstanceUID)]!, metadata).map(each => each.imageId);
  };
  return { order, metadata };
}

const axial = (z: number, InstanceNumber: number): Partial<Instance> => ({
  ImagePositionPatient: [0, 0, z],
  ImageOrientationPatient: [1, 0, 0, 0, 1, 0],
  InstanceNumber,
});

test('slices of a CT are counted along their normal, whatever their numbers and the order in which they are scrolled', () => {
  const { order } = series({ a: axial(5, 3), b: axial(-5, 1), c: axial(0, 2) });
  expect(order(['a', 'c', 'b'])).toEqual(['b', 'c', 'a']);
  expect(order(['a'], ['b', 'c'])).toEqual(['b', 'c', 'a']);
});

test('frames of one instance are slices of their own', () => {
  const { order } = series({ 'm#1': axial(4, 1), 'm#2': axial(2, 1), 'm#3': axial(0, 1) });
  expect(order(['m#1', 'm#2', 'm#3'])).toEqual(['m#3', 'm#2', 'm#1']);
});

test('radiographs, which have no position, are counted by their numbers', () => {
  const { order } = series({ pa: { InstanceNumber: '2' }, lateral: { InstanceNumber: '10' }, oblique: { InstanceNumber: '1' } });
  expect(order(['pa'], ['lateral'], ['oblique'])).toEqual(['oblique', 'pa', 'lateral']);
});

test('a pixel goes to the patient and back, on pixels that are not square and planes that are oblique', () => {
  for (const plane of [PLANE, { ...PLANE, rowPixelSpacing: null, columnPixelSpacing: null }]) {
    for (const [row, column] of [[0, 0], [12, 7.5], [199, 3]] as [number, number][]) {
      const [down, along] = pixelAt(worldAt(row, column, plane), plane);
      expect(down).toBeCloseTo(row, 9);
      expect(along).toBeCloseTo(column, 9);
    }
  }
});

test('a rectangle is the pixels between its edges, cut at the edge of the image', () => {
  const size = { rows: 100, columns: 50 };
  const corners = (top: number, left: number, bottom: number, right: number): Point[] =>
    [[top, left], [bottom, right]].map(([row, column]) => worldAt(row! - 0.5, column! - 0.5, PLANE));
  expect(boxOf(corners(10, 20, 30, 40), PLANE, size)).toEqual({ top: 10, left: 20, bottom: 30, right: 40 });
  expect(boxOf(corners(30, 40, 10, 20), PLANE, size)).toEqual({ top: 10, left: 20, bottom: 30, right: 40 });
  expect(boxOf(corners(-9, 20, 300, 40), PLANE, size)).toEqual({ top: 0, left: 20, bottom: 100, right: 40 });
  expect(boxOf(corners(10.1, 20.1, 10.2, 20.2), PLANE, size)).toEqual({ top: 10, left: 20, bottom: 11, right: 21 });
  expect(boxOf(corners(200, 20, 300, 40), PLANE, size)).toBeNull();
});

test('the nearest slice is the one at the least distance along the normal', () => {
  const { metadata } = series({ a: axial(0, 1), b: axial(5, 2), c: axial(10, 3) });
  const slices = ['a', 'b', 'c'].map(imageId => ({ imageId, instanceUid: imageId, displaySetUid: '0' }));
  expect(nearestSlice([99, -40, 6], slices, metadata)).toBe(1);
  expect(nearestSlice([0, 0, 0], [], metadata)).toBe(-1);
});
