/** What the viewer shows of a study's images: series as slices, the viewports that show them, and how to get to a slice. */

import type { Actor, Canvas, DisplaySet, Host, ImagePlane, Point } from '../ohif';
import { inSliceOrder, nearestSlice, pixelAt, worldAt, type Slice } from './slices';

/** How long a viewport may take to show another series. */
const SWITCH_MS = 20_000;

export interface Spot {
  seriesUid: string;
  slice: number;
  row: number;
  column: number;
}

export class Images {
  private readonly known = new Map<string, { count: number; slices: Slice[] }>();

  constructor(private readonly host: Host) {}

  /** The slices of a series, in the order of places; none where the viewer does not have it. */
  slicesOf(seriesUid: string): Slice[] {
    const displaySets = this.displaySetsOf(seriesUid);
    const imageIds = displaySets.map(each => this.imageIdsOf(each));
    const count = imageIds.reduce((sum, ids) => sum + ids.length, 0);
    const known = this.known.get(seriesUid);
    if (known?.count === count) {
      return known.slices;
    }
    const slices = inSliceOrder(displaySets, each => imageIds[displaySets.indexOf(each)]!, window.cornerstone.metaData);
    this.known.set(seriesUid, { count, slices });
    return slices;
  }

  displaySetsOf(seriesUid: string): DisplaySet[] {
    return this.services.displaySetService
      .getActiveDisplaySets()
      .filter(each => each.SeriesInstanceUID === seriesUid && !each.isDerivedDisplaySet);
  }

  displaySet(uid: string): DisplaySet | undefined {
    return this.services.displaySetService.getActiveDisplaySets().find(each => each.displaySetInstanceUID === uid);
  }

  imageIdsOf(displaySet: DisplaySet): string[] {
    const [source] = this.host.extensionManager.getActiveDataSource();
    return displaySet.imageIds?.length ? displaySet.imageIds : (source?.getImageIdsForDisplaySet(displaySet) ?? []);
  }

  /** Index of the slice that shows a place best: its own image, and of a multi-frame image's slices the middle one. */
  keySlice({ series_uid, instance_uid, start, stop }: { series_uid: string; instance_uid: string; start: number[]; stop: number[] }): number {
    const middle = (start[0]! + stop[0]! - 1) >> 1;
    const indices = this.slicesOf(series_uid).flatMap((slice, index) => (slice.instanceUid === instance_uid ? [index] : []));
    return indices.length === 1 ? indices[0]! : middle;
  }

  planeOf(imageId: string): ImagePlane {
    const plane = window.cornerstone.metaData.get('imagePlaneModule', imageId);
    if (!plane) {
      throw new Error('The viewer does not know where this image is.');
    }
    return plane;
  }

  sizeOf(imageId: string): { rows: number; columns: number } {
    const instance = window.cornerstone.metaData.get('instance', imageId);
    return { rows: Number(instance?.Rows ?? 0), columns: Number(instance?.Columns ?? 0) };
  }

  /** Viewports that show a display set, as Cornerstone has them; the active one first. */
  showing(displaySetUid: string): Canvas[] {
    const active = this.services.viewportGridService.getActiveViewportId();
    return [...this.services.viewportGridService.getState().viewports.values()]
      .filter(each => each.displaySetInstanceUIDs.includes(displaySetUid))
      .sort((left, right) => Number(right.viewportId === active) - Number(left.viewportId === active))
      .flatMap(({ viewportId }) => this.canvas(viewportId) ?? []);
  }

  canvas(viewportId: string | null): Canvas | null {
    return viewportId ? this.services.cornerstoneViewportService.getCornerstoneViewport(viewportId) : null;
  }

  /** Whether a viewport draws an image of a display set, and has not only been told to. */
  isDrawn(viewportId: string, displaySet: DisplaySet): boolean {
    const canvas = this.canvas(viewportId);
    const imageIds = new Set(this.imageIdsOf(displaySet));
    return canvas?.getActors?.().some(each => isImage(each) && (!canvas.setImageIdIndex || imageIds.has(each.referencedId ?? ''))) ?? false;
  }

  /** Hears what a viewport is given to draw, images and masks, until the returned function is called. */
  onDrawn(heard: (canvas: Canvas, added: readonly Actor[]) => void): () => void {
    const { ACTORS_CHANGED } = window.cornerstone.Enums.Events;
    const changed = (event: Event) => {
      const { viewportId, addedActors } = (event as CustomEvent<{ viewportId: string; addedActors: Actor[] }>).detail;
      const canvas = this.canvas(viewportId);
      if (canvas) {
        heard(canvas, addedActors);
      }
    };
    document.addEventListener(ACTORS_CHANGED, changed, true); // these events do not bubble
    return () => document.removeEventListener(ACTORS_CHANGED, changed, true);
  }

  get activeCanvas(): Canvas | null {
    return this.canvas(this.services.viewportGridService.getActiveViewportId());
  }

  /** The image display set in a viewport. */
  shownIn(viewportId: string): DisplaySet | undefined {
    const uids = this.services.viewportGridService.getState().viewports.get(viewportId)?.displaySetInstanceUIDs ?? [];
    return uids.map(uid => this.displaySet(uid)).find(each => each && !each.isDerivedDisplaySet);
  }

  /** Bring a slice to the screen, where it is shown already or in the active viewport, with a place of it in sight. */
  async show(seriesUid: string, index: number, middle: { row: number; column: number }): Promise<void> {
    const slice = this.slicesOf(seriesUid)[index];
    if (!slice) {
      throw new Error('The viewer does not have this image; open its study.');
    }
    let canvases = this.showing(slice.displaySetUid);
    if (canvases.length === 0) {
      await this.switchTo(slice.displaySetUid);
      canvases = this.showing(slice.displaySetUid);
    }
    const [first] = canvases;
    const { viewportGridService } = this.services;
    if (first && first.id !== viewportGridService.getActiveViewportId()) {
      viewportGridService.setActiveViewportId(first.id);
    }
    const world = worldAt(middle.row, middle.column, this.planeOf(slice.imageId));
    await Promise.all(canvases.map(canvas => toSlice(canvas, slice.imageId, world)));
    canvases.forEach(canvas => intoSight(canvas, world));
  }

  private async switchTo(displaySetUid: string): Promise<void> {
    const { viewportGridService, cornerstoneViewportService, hangingProtocolService } = this.services;
    const active = viewportGridService.getActiveViewportId();
    if (!active) {
      throw new Error('There is no viewport to show the image in.');
    }
    await new Promise<void>((resolve, reject) => {
      const subscription = cornerstoneViewportService.subscribe(cornerstoneViewportService.EVENTS.VIEWPORT_DATA_CHANGED, () => {
        if (this.showing(displaySetUid).length > 0) {
          end();
          resolve();
        }
      });
      const late = setTimeout(() => {
        end();
        reject(new Error('The viewer did not show the image.'));
      }, SWITCH_MS);
      const end = () => {
        clearTimeout(late);
        subscription.unsubscribe();
      };
      const viewportsToUpdate = hangingProtocolService.getViewportsRequireUpdate(active, displaySetUid);
      this.host.commandsManager.runCommand('setDisplaySetsForViewports', { viewportsToUpdate });
    });
  }

  /** What a viewport shows: a series and the slice of it in its middle. */
  here(canvas: Canvas): { seriesUid: string; slice: number } | null {
    const seriesUid = this.shownIn(canvas.id)?.SeriesInstanceUID;
    const slice = seriesUid ? this.sliceAt(canvas, seriesUid, canvas.getCamera().focalPoint) : -1;
    return seriesUid && slice >= 0 ? { seriesUid, slice } : null;
  }

  /** What is under a place of a viewport's canvas; null beside the images. */
  spotAt(canvas: Canvas, x: number, y: number): Spot | null {
    const world = canvas.canvasToWorld([x, y]);
    const seriesUid = this.shownIn(canvas.id)?.SeriesInstanceUID;
    const slice = seriesUid ? this.sliceAt(canvas, seriesUid, world) : -1;
    if (!seriesUid || slice < 0) {
      return null;
    }
    const { imageId } = this.slicesOf(seriesUid)[slice]!;
    const [row, column] = pixelAt(world, this.planeOf(imageId)).map(Math.round) as [number, number];
    const { rows, columns } = this.sizeOf(imageId);
    return row >= 0 && column >= 0 && row < rows && column < columns ? { seriesUid, slice, row, column } : null;
  }

  private sliceAt(canvas: Canvas, seriesUid: string, world: Point): number {
    const slices = this.slicesOf(seriesUid);
    const current = canvas.getCurrentImageId?.();
    const exact = slices.findIndex(each => each.imageId === current);
    return exact >= 0 ? exact : nearestSlice(world, slices, window.cornerstone.metaData);
  }

  private get services() {
    return this.host.servicesManager.services;
  }
}

/** Scroll a stack to an image, or cut a volume through a point. */
export async function toSlice(canvas: Canvas, imageId: string, world: Point): Promise<void> {
  const index = canvas.setImageIdIndex ? canvas.getImageIds().indexOf(imageId) : -1;
  if (index >= 0) {
    await canvas.setImageIdIndex!(index);
  } else {
    canvas.jumpToWorld?.(world);
  }
  canvas.render();
}

/** A mask is drawn for a representation of a segmentation. */
export function isImage({ representationUID }: Actor): boolean {
  return !representationUID;
}

/** Where a reader has zoomed in and a point lies outside the canvas, pan to it. */
function intoSight(canvas: Canvas, world: Point): void {
  const [x, y] = canvas.worldToCanvas(world);
  const { clientWidth, clientHeight } = canvas.element;
  if (x < 0 || y < 0 || x > clientWidth || y > clientHeight) {
    const { focalPoint, position, viewPlaneNormal } = canvas.getCamera();
    const offset = world.map((value, axis) => value - focalPoint[axis]!);
    const depth = offset.reduce((sum, value, axis) => sum + value * viewPlaneNormal[axis]!, 0);
    const move = (point: Point) => point.map((value, axis) => value + offset[axis]! - depth * viewPlaneNormal[axis]!) as Point;
    canvas.setCamera({ focalPoint: move(focalPoint), position: move(position) });
    canvas.render();
  }
}
