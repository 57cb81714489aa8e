/**
 * The slices of a series in the order in which places count them (`radiology.frame.in_slice_order`), whatever order OHIF
 * scrolls them in, and the way from a pixel to the patient and back.
 */

import type { DisplaySet, ImagePlane, Instance, Point } from '../ohif';

export interface Slice {
  imageId: string;
  instanceUid: string;
  /** The display set that shows it: a series of radiographs has one for each. */
  displaySetUid: string;
}

interface Header extends Slice {
  instance: Instance;
  frame: number;
}

/** Of what a series' images are read: `instance` has place and orientation of a multi-frame image's frame as its own. */
export interface Metadata {
  get(kind: 'instance', imageId: string): Instance | undefined;
  get(kind: 'imagePlaneModule', imageId: string): ImagePlane | undefined;
}

/** By position along the slice normal (PS3.3 C.7.6.2.1.1), or by Instance and frame number where there is none. */
export function inSliceOrder(displaySets: readonly DisplaySet[], imageIdsOf: (each: DisplaySet) => string[], metadata: Metadata): Slice[] {
  const headers = displaySets.flatMap(displaySet => {
    const seen = new Map<string, number>();
    return imageIdsOf(displaySet).flatMap((imageId): Header[] => {
      const instance = metadata.get('instance', imageId);
      if (!instance) {
        return [];
      }
      const frame = (seen.get(instance.SOPInstanceUID) ?? 0) + 1;
      seen.set(instance.SOPInstanceUID, frame);
      return [{ imageId, instanceUid: instance.SOPInstanceUID, displaySetUid: displaySet.displaySetInstanceUID, instance, frame }];
    });
  });
  const isPlaced = headers.every(({ instance }) => instance.ImagePositionPatient && instance.ImageOrientationPatient);
  const orientation = headers[0]?.instance.ImageOrientationPatient?.map(Number) ?? [];
  const normal = isPlaced && headers.length ? cross(orientation.slice(0, 3), orientation.slice(3, 6)) : null;
  const place = ({ instance }: Header) =>
    normal ? dot(normal, instance.ImagePositionPatient!.map(Number)) : Number(instance.InstanceNumber ?? 0);
  const placed = headers.map(header => ({ header, place: place(header) }));
  placed.sort(
    (a, b) => a.place - b.place || compare(a.header.instanceUid, b.header.instanceUid) || a.header.frame - b.header.frame
  );
  return placed.map(({ header: { imageId, instanceUid, displaySetUid } }) => ({ imageId, instanceUid, displaySetUid }));
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Row and column of a point in millimetres; whole numbers are the middles of pixels. */
export function pixelAt(world: readonly number[], plane: ImagePlane): [number, number] {
  const offset = world.map((value, axis) => value - plane.imagePositionPatient[axis]!);
  return [dot(offset, plane.columnCosines) / (plane.rowPixelSpacing || 1), dot(offset, plane.rowCosines) / (plane.columnPixelSpacing || 1)];
}

/** Undo `pixelAt`. */
export function worldAt(row: number, column: number, plane: ImagePlane): Point {
  const down = row * (plane.rowPixelSpacing || 1);
  const along = column * (plane.columnPixelSpacing || 1);
  return plane.imagePositionPatient.map((value, axis) => value + down * plane.columnCosines[axis]! + along * plane.rowCosines[axis]!) as Point;
}

/** Rows and columns that points cover, zero-based and half-open, inside the image; an edge lies between two pixels. */
export function boxOf(
  points: readonly Point[],
  plane: ImagePlane,
  { rows, columns }: { rows: number; columns: number }
): { top: number; left: number; bottom: number; right: number } | null {
  const pixels = points.map(point => pixelAt(point, plane));
  const edges = (axis: 0 | 1, size: number): [number, number] => {
    const values = pixels.map(pixel => pixel[axis] + 0.5);
    const first = Math.min(Math.max(Math.round(Math.min(...values)), 0), size - 1);
    return [first, Math.min(Math.max(Math.round(Math.max(...values)), first + 1), size)];
  };
  const isOutside = ([0, 1] as const).some(axis => {
    const values = pixels.map(pixel => pixel[axis] + 0.5);
    return Math.max(...values) <= 0 || Math.min(...values) >= (axis === 0 ? rows : columns);
  });
  if (isOutside) {
    return null;
  }
  const [top, bottom] = edges(0, rows);
  const [left, right] = edges(1, columns);
  return { top, left, bottom, right };
}

/** The slice nearest to a point, by distance along the normal; -1 where there is none. */
export function nearestSlice(world: readonly number[], slices: readonly Slice[], metadata: Metadata): number {
  let nearest = -1;
  let least = Infinity;
  slices.forEach(({ imageId }, index) => {
    const plane = metadata.get('imagePlaneModule', imageId);
    if (plane) {
      const offset = world.map((value, axis) => value - plane.imagePositionPatient[axis]!);
      const distance = Math.abs(dot(offset, cross(plane.rowCosines, plane.columnCosines)));
      if (distance < least) {
        [nearest, least] = [index, distance];
      }
    }
  });
  return nearest;
}

function cross(a: readonly number[], b: readonly number[]): Point {
  return [a[1]! * b[2]! - a[2]! * b[1]!, a[2]! * b[0]! - a[0]! * b[2]!, a[0]! * b[1]! - a[1]! * b[0]!];
}

function dot(left: readonly number[], right: readonly number[]): number {
  return left.reduce((sum, value, axis) => sum + value * right[axis]!, 0);
}
