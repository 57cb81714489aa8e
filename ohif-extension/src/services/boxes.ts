/**
 * What OHIF draws of our SR: each box where it belongs, in the colour of its mask, with its sentence beside it instead of
 * statistics of its pixels.
 */

import type { BoxAnnotation, DisplaySet, Host, Hydration, ImagePlane, Point, TextLines } from '../ohif';
import type { Images, Spot } from './images';
import type { Report } from './reports';
import { isOurs, isStructure } from './results';
import { boxOf } from './slices';

const LINE_LENGTH = 32;

/** OHIF's `onBeforeSRHydration`: boxes of our reports are put right and marked as ours; the reports of others pass unchanged. */
export function prepareBoxes(planeOf: (imageId: string) => ImagePlane | undefined) {
  return ({ displaySet, storedMeasurementByAnnotationType }: Hydration): Hydration['storedMeasurementByAnnotationType'] => {
    if (isOurs(displaySet)) {
      for (const { annotation, TrackingUniqueIdentifier } of Object.values(storedMeasurementByAnnotationType).flat()) {
        const drawn = displaySet.measurements?.find(each => each.TrackingUniqueIdentifier === TrackingUniqueIdentifier);
        const plane = drawn?.imageId ? planeOf(drawn.imageId) : undefined;
        annotation.data.sightline = { trackingUid: TrackingUniqueIdentifier, documentUid: displaySet.instance!.SOPInstanceUID };
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

/** The boxes of our reports that are drawn. */
export class Boxes {
  private isVisible = true;
  private lit: string | null = null;
  /** Colours of places, as the panel has them. */
  private readonly colours = new Map<string, string>();
  /** Places that a radiologist added. */
  private readonly added = new Set<string>();

  constructor(
    private readonly host: Host,
    private readonly images: Images,
    private readonly colourOf: (trackingUid: string) => string | null
  ) {}

  /** What the report in force says of its places: their colours, and whether a radiologist put them there. */
  know({ findings }: Report): void {
    for (const { places, colour, decided } of findings) {
      for (const { tracking_uid } of places) {
        this.colours.set(tracking_uid, colour);
        if (decided?.judgement === 'added') {
          this.added.add(tracking_uid);
        }
      }
    }
    this.paint();
  }

  /** Draw a report once every image that a box is on is known to OHIF; returns whether it is drawn. */
  async draw(report: DisplaySet): Promise<boolean> {
    await report.load?.({});
    if (!report.measurements?.length || !report.measurements.every(measurement => measurement.loaded)) {
      return false;
    }
    captionBoxes(this.host);
    this.host.commandsManager.runCommand('hydrateStructuredReport', { displaySetInstanceUID: report.displaySetInstanceUID });
    this.paint();
    return true;
  }

  /** Take away the boxes of all reports but these. */
  keep(documentUids: ReadonlySet<string>): void {
    for (const [uid, { data }] of this.drawn()) {
      if (!documentUids.has(data.sightline!.documentUid)) {
        this.host.servicesManager.services.measurementService.remove(uid);
      }
    }
  }

  get all(): BoxAnnotation[] {
    return this.drawn().map(([, annotation]) => annotation);
  }

  /** The box of a place, where it has one. */
  find(trackingUid: string): BoxAnnotation | undefined {
    return this.all.find(({ data }) => data.sightline!.trackingUid === trackingUid);
  }

  /** The place whose box a pixel is in; of several the smallest. */
  at({ seriesUid, slice, row, column }: Spot): string | null {
    const imageId = this.images.slicesOf(seriesUid)[slice]?.imageId;
    const hits = this.all.flatMap(({ metadata, data }) => {
      if (!imageId || metadata?.referencedImageId !== imageId) {
        return [];
      }
      const box = boxOf(data.handles.points, this.images.planeOf(imageId), this.images.sizeOf(imageId));
      const isHit = box && row >= box.top && row < box.bottom && column >= box.left && column < box.right;
      return isHit ? [{ uid: data.sightline!.trackingUid, area: (box.bottom - box.top) * (box.right - box.left) }] : [];
    });
    return hits.sort((left, right) => left.area - right.area)[0]?.uid ?? null;
  }

  light(trackingUid: string | null): void {
    if (trackingUid !== this.lit) {
      this.lit = trackingUid;
      this.paint();
    }
  }

  show(isVisible: boolean): void {
    this.isVisible = isVisible;
    this.paint();
  }

  /** Colours and visibility of all boxes; to be called again when the colour of a mask becomes known. */
  paint(): void {
    const { config, selection, visibility } = window.cornerstoneTools.annotation;
    for (const [uid, { data }] of this.drawn()) {
      const { trackingUid } = data.sightline!;
      const isLit = trackingUid === this.lit;
      const colour = this.colourOf(trackingUid) ?? this.colours.get(trackingUid) ?? USUAL_COLOUR;
      data.sightline!.isAdded = this.added.has(trackingUid);
      config.style.setAnnotationStyles(uid, styles(colour, isLit));
      if (selection.getAnnotationsSelected().includes(uid) !== isLit) {
        selection.setAnnotationSelected(uid, isLit, isLit);
      }
      visibility.setAnnotationVisibility(uid, this.isVisible);
    }
  }

  private drawn(): [string, BoxAnnotation][] {
    const all = window.cornerstoneTools.annotation.state.getAllAnnotations();
    return all.flatMap((each): [string, BoxAnnotation][] => (each.annotationUID && each.data?.sightline ? [[each.annotationUID, each]] : []));
  }
}

export function middleOf(points: readonly Point[]): Point {
  return [0, 1, 2].map(axis => points.reduce((sum, point) => sum + point[axis]!, 0) / points.length) as Point;
}

const USUAL_COLOUR = 'rgb(90, 204, 230)';

/** Cornerstone has a style for each state of an annotation; ours differ in width only. */
function styles(colour: string, isLit: boolean): Record<string, string> {
  const lineWidth = isLit ? '4' : '2';
  const each = ['', 'Highlighted', 'Selected', 'Locked'].map(state => ({
    [`color${state}`]: colour,
    [`lineWidth${state}`]: lineWidth,
    [`textBoxColor${state}`]: colour,
    [`textBoxLinkLineColor${state}`]: colour,
  }));
  return Object.assign({}, ...each) as Record<string, string>;
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
    if (!data.sightline) {
      return usual(data, ...rest);
    }
    const words = data.sightline.isAdded ? `Added: ${data.label ?? ''}` : `AI: ${data.label ?? ''}`;
    return isStructure(data) && !isSelected(data) ? [] : wrap(words);
  };
}

/** OHIF's question about measurements of another study: what a reader answers, later. */
export type Ask = (...about: unknown[]) => Promise<{ userResponse: number }>;

/** OHIF would ask, when a prior is shown beside, what becomes of measurements; boxes that are ours alone are no reader's to save. */
export function askOfOthersOnly({ servicesManager }: Host, ask: Ask): Ask {
  return (...about) => {
    const { state } = window.cornerstoneTools.annotation;
    const areOurs = servicesManager.services.measurementService.getMeasurements().every(({ uid }) => state.getAnnotation(uid)?.data.sightline);
    return areOurs ? Promise.resolve({ userResponse: LEAVE_THEM }) : ask(...about);
  };
}

/** What OHIF hears when its question is cancelled: nothing changes. */
const LEAVE_THEM = 0;

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
