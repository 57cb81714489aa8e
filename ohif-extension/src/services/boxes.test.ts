/** Boxes belong where the SR puts them, whatever the shape of the pixels. */

import { expect, test, vi } from 'vitest';

import type { BoxAnnotation, DisplaySet, Host, Hydration, ImagePlane, Point } from '../ohif';
import { askOfOthersOnly, caption, placeRight, prepareBoxes } from './boxes';

const OBLIQUE: ImagePlane = {
  imagePositionPatient: [10, -20, 30],
  rowCosines: [0.8, 0.6, 0],
  columnCosines: [0, 0, -1],
  rowPixelSpacing: 0.4,
  columnPixelSpacing: 0.2,
};

/** Where a pixel coordinate is, with the two spacings used as PS3.3 10.7.1.3 says, or as Cornerstone does. */
function world([column, row]: [number, number], plane: ImagePlane, swapped = false): Point {
  const { imagePositionPatient: origin, rowCosines, columnCosines, rowPixelSpacing, columnPixelSpacing } = plane;
  const along = (column - 0.5) * (swapped ? rowPixelSpacing! : columnPixelSpacing!);
  const down = (row - 0.5) * (swapped ? columnPixelSpacing! : rowPixelSpacing!);
  return origin.map((value, axis) => value + along * rowCosines[axis]! + down * columnCosines[axis]!) as Point;
}

function near(actual: Point, expected: Point): void {
  actual.forEach((value, axis) => expect(Math.abs(value - expected[axis]!) < 1e-9, `${actual} is not ${expected}`).toBe(true));
}

test('a point on pixels that are not square is put right', () => {
  for (const pixel of [[0, 0], [60, 90], [12.5, 200]] as [number, number][]) {
    near(placeRight(world(pixel, OBLIQUE, true), OBLIQUE), world(pixel, OBLIQUE));
  }
});

test('square pixels, and images that do not say, are left as they are', () => {
  const square = { ...OBLIQUE, columnPixelSpacing: 0.4 };
  expect(placeRight([1, 2, 3], square)).toEqual([1, 2, 3]);
  expect(placeRight([1, 2, 3], { ...OBLIQUE, rowPixelSpacing: null })).toEqual([1, 2, 3]);
});

function hydration(Manufacturer: string): Hydration {
  const displaySet = {
    Modality: 'SR',
    instance: { SOPInstanceUID: '1.9', Manufacturer },
    measurements: [{ loaded: true, TrackingUniqueIdentifier: '2.25.7', imageId: 'image' }],
  } as unknown as DisplaySet;
  const annotation: BoxAnnotation = { data: { label: 'A nodule.', handles: { points: [world([60, 90], OBLIQUE, true)] } } };
  return { displaySet, storedMeasurementByAnnotationType: { RectangleROI: [{ TrackingUniqueIdentifier: '2.25.7', annotation }] } };
}

test('only boxes of our own reports are changed', () => {
  const prepare = prepareBoxes(imageId => (imageId === 'image' ? OBLIQUE : undefined));
  const ours = prepare(hydration('Sightline')).RectangleROI![0]!.annotation.data;
  near(ours.handles.points[0]!, world([60, 90], OBLIQUE));
  expect(ours.sightline).toEqual({ trackingUid: '2.25.7', documentUid: '1.9' });
  const theirs = prepare(hydration('Another Maker')).RectangleROI![0]!.annotation.data;
  near(theirs.handles.points[0]!, world([60, 90], OBLIQUE, true));
  expect(theirs.sightline).toBeUndefined();
});

test('our boxes carry their sentence, and those of a reader their statistics', () => {
  const lines = caption(
    () => ['Area: 5 mm2'],
    () => false
  );
  const handles = { points: [] };
  const said = lines({ sightline: { trackingUid: '2.25.7', documentUid: '1.9' }, label: 'A small pleural effusion on the left, blunting the angle.', handles });
  expect(said.join(' ')).toBe('AI: A small pleural effusion on the left, blunting the angle.');
  expect(said.length > 1 && said.every(line => line.length <= 34)).toBe(true);
  expect(lines({ sightline: { trackingUid: '2.25.7', documentUid: '1.9', isAdded: true }, label: 'A rib fracture.', handles })).toEqual(['Added: A rib fracture.']);
  expect(lines({ label: 'mine', handles })).toEqual(['Area: 5 mm2']);
});

test('a normal structure carries its sentence only while it is selected', () => {
  const lung = { ref: 'SCT:39607008' };
  const data = { sightline: { trackingUid: '2.25.7', documentUid: '1.9' }, label: 'The right lung is clear.', finding: lung, findingSites: [lung], handles: { points: [] } };
  const usual = () => [];
  expect(caption(usual, () => false)(data)).toEqual([]);
  expect(caption(usual, () => true)(data)).toEqual(['AI: The right lung is clear.']);
  const nodule = { ...data, finding: { ref: 'SCT:27925004' } };
  expect(caption(usual, () => false)(nodule)).toEqual(['AI: The right lung is clear.']);
});

test('OHIF asks about measurements of another study only where a reader measured something', async () => {
  const annotations: Record<string, object> = { ours: { data: { sightline: {} } }, theirs: { data: {} } };
  vi.stubGlobal('window', { cornerstoneTools: { annotation: { state: { getAnnotation: (uid: string) => annotations[uid] } } } });
  const measured = [{ uid: 'ours' }];
  const host = { servicesManager: { services: { measurementService: { getMeasurements: () => measured } } } } as unknown as Host;
  const ask = askOfOthersOnly(host, () => Promise.resolve({ userResponse: 3 }));
  expect(await ask()).toEqual({ userResponse: 0 });
  measured.push({ uid: 'theirs' });
  expect(await ask()).toEqual({ userResponse: 3 });
});
