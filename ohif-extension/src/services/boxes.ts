/** What OHIF draws of our SR: each box where it belongs, with its sentence beside it instead of statistics of its pixels. */

import type { BoxAnnotation, Host, Hydration, ImagePlane, Point, TextLines } from '../ohif';
import { isOurs, isStructure } from './results';

const LINE_LENGTH = 32;

/** OHIF's `onBeforeSRHydration`: boxes of our reports are put right and marked as ours; the reports of others pass unchanged. */
export function prepareBoxes(planeOf: (imageId: string) => ImagePlane | undefined) {
  return ({ displaySet, storedMeasurementByAnnotationType }: Hydration): Hydration['storedMeasurementByAnnotationType'] => {
    if (isOurs(displaySet)) {
      for (const { annotation, TrackingUniqueIdentifier } of Object.values(storedMeasurementByAnnotationType).flat()) {
        const drawn = displaySet.measurements?.find(each => each.TrackingUniqueIdentifier === TrackingUniqueIdentifier);
        const plane = drawn?.imageId ? planeOf(drawn.imageId) : undefined;
        annotation.data.isSightline = true;
        if (plane) {
          annotation.data.handles.points = annotation.data.handles.points.map(point => placeRight(point, plane));
        }
      }
    }
    return storedMeasurementByAnnotationType;
  };
}

/**
 * Cornerstone's `imageToWorldCoords` multiplies columns by the spacing of rows and rows by the spacing of columns, which moves
 * every box on an image whose pixels are not square. Points are in millimetres.
 */
export function placeRight(point: Point, plane: ImagePlane): Point {
  const { imagePositionPatient: origin, rowCosines, columnCosines, rowPixelSpacing, columnPixelSpacing } = plane;
  if (!rowPixelSpacing || !columnPixelSpacing || rowPixelSpacing === columnPixelSpacing) {
    return point;
  }
  const offset = point.map((value, axis) => value - origin[axis]!);
  const alongRow = (dot(offset, rowCosines) / rowPixelSpacing) * columnPixelSpacing;
  const alongColumn = (dot(offset, columnCosines) / columnPixelSpacing) * rowPixelSpacing;
  return origin.map((value, axis) => value + alongRow * rowCosines[axis]! + alongColumn * columnCosines[axis]!) as Point;
}

function dot(left: readonly number[], right: readonly number[]): number {
  return left.reduce((sum, value, axis) => sum + value * right[axis]!, 0);
}

/** Let the rectangle tools write our sentences; what a reader draws keeps its statistics. */
export function captionBoxes({ servicesManager }: Host): void {
  const { toolGroupService } = servicesManager.services;
  for (const groupId of toolGroupService.getToolGroupIds()) {
    const tool = toolGroupService.getToolGroup(groupId)?.getToolInstance('RectangleROI');
    if (tool && !captioned.has(tool)) {
      captioned.add(tool);
      tool.configuration.getTextLines = caption(tool.configuration.getTextLines, isSelected);
    }
  }
}

const captioned = new WeakSet<object>();

/** Lungs and heart have boxes too, on every image: they speak only when they are selected. */
export function caption(usual: TextLines, isSelected: (data: BoxAnnotation['data']) => boolean): TextLines {
  return (data, ...rest) => {
    if (!data.isSightline) {
      return usual(data, ...rest);
    }
    return isStructure(data) && !isSelected(data) ? [] : wrap(`AI: ${data.label ?? ''}`);
  };
}

function isSelected(data: BoxAnnotation['data']): boolean {
  const { selection, state } = window.cornerstoneTools.annotation;
  return selection.getAnnotationsSelected().some(uid => state.getAnnotation(uid)?.data === data);
}

function wrap(text: string): string[] {
  const lines = [''];
  for (const word of text.split(/\s+/)) {
    const last = lines[lines.length - 1]!;
    if (last && last.length + word.length >= LINE_LENGTH) {
      lines.push(word);
    } else {
      lines[lines.length - 1] = last ? `${last} ${word}` : word;
    }
  }
  return lines;
}
