/**
 * The reader draws: a rectangle, or with brush and eraser, all of them the viewer's own tools. A mask of a report is never
 * painted on; the reader works on a copy, which the next version takes over.
 */

import type { BoxAnnotation, Host, ToolGroup } from '../ohif';
import type { Boxes } from './boxes';
import type { Images } from './images';
import { Labelmap } from './labelmap';
import type { Masks } from './masks';
import { cut, packed, type Block, type Index } from './pixels';
import type { DrawingTool, Place, PlaceIn } from './places';
import { boxOf } from './slices';

const TOOLS: Record<DrawingTool, { name: string; strategy: string | null }> = {
  box: { name: 'RectangleROI', strategy: null },
  brush: { name: 'SightlineBrush', strategy: 'FILL_INSIDE_CIRCLE' },
  eraser: { name: 'SightlineEraser', strategy: 'ERASE_INSIDE_CIRCLE' },
};
const COLOUR = [255, 255, 255] as const;
const BRUSH_PIXELS = 6;
const NEW = '';

export class Editing {
  private readonly copies = new Map<string, Labelmap>();
  /** Rectangles that were taken over into a place. */
  private readonly used = new Set<string>();
  private before: { group: ToolGroup; id: string; tool: string } | null = null;
  private count = 0;

  constructor(
    private readonly host: Host,
    private readonly images: Images,
    private readonly boxes: Boxes,
    private readonly masks: Masks
  ) {}

  /** Give the reader a tool, on a place of the report or on a new one; null gives back what was in the hand before. */
  async draw(tool: DrawingTool | null, place: Place | null): Promise<void> {
    this.giveBack();
    if (!tool) {
      return;
    }
    if (tool !== 'box') {
      await this.copyOf(place);
    }
    this.take(tool);
  }

  /** What was drawn last on a new place: paint wins over rectangles, as a box follows from it. */
  drawn(): PlaceIn | null {
    const copy = this.copies.get(NEW);
    const block = copy?.read();
    if (copy && block) {
      return placeIn(copy.seriesUid, block);
    }
    const rectangle = this.rectangles.at(-1);
    return rectangle ? this.placeOf(rectangle) : null;
  }

  /** A place of the report as the reader left it. Error, in words for the reader, where nothing was changed. */
  edited(place: Place): PlaceIn {
    const copy = this.copies.get(place.tracking_uid);
    if (copy) {
      const block = copy.read();
      if (!block) {
        throw new Error('Nothing is left of the mask: remove the place, or paint it again.');
      }
      return placeIn(place.series_uid, block);
    }
    const box = this.boxes.find(place.tracking_uid);
    const moved = box && this.placeOf(box);
    const isMoved = moved && [1, 2].some(axis => moved.start![axis] !== place.start[axis] || moved.stop![axis] !== place.stop[axis]);
    const drawn = isMoved ? moved : this.rectangles.map(each => this.placeOf(each)).filter(each => each?.series_uid === place.series_uid).at(-1);
    if (!drawn) {
      throw new Error('Nothing was changed on the image: move the box, or take rectangle, brush or eraser first.');
    }
    const start: Index = [place.start[0], drawn.start![1], drawn.start![2]];
    const stop: Index = [place.stop[0], drawn.stop![1], drawn.stop![2]];
    const mask = this.masks.blockOf(place.tracking_uid, place.series_uid);
    const left = mask && cut(mask, { start, stop });
    return left ? placeIn(place.series_uid, left) : { tracking_uid: null, series_uid: place.series_uid, start, stop, mask: null };
  }

  /** Forget what was drawn: it was stored, or is not wanted. */
  clear(): void {
    this.giveBack();
    for (const [trackingUid, copy] of this.copies) {
      copy.remove();
      this.masks.hide(trackingUid, false);
    }
    this.copies.clear();
    this.used.forEach(uid => this.host.servicesManager.services.measurementService.remove(uid));
    this.used.clear();
  }

  private async copyOf(place: Place | null): Promise<void> {
    const key = place?.tracking_uid ?? NEW;
    if (!this.copies.has(key)) {
      const spot = place ? { seriesUid: place.series_uid, slice: this.images.keySlice(place) } : this.here;
      if (!spot) {
        throw new Error('There is no image to draw on.');
      }
      this.count += 1;
      const options = { id: `sightline-edit-${this.count}`, label: 'Your mask', colour: COLOUR };
      const copy = await Labelmap.on(this.host, this.images, spot.seriesUid, spot.slice, options);
      this.copies.set(key, copy);
      const block = place && this.masks.blockOf(place.tracking_uid, place.series_uid);
      if (block) {
        copy.write(block);
      }
    }
    await this.copies.get(key)!.lay();
    if (place) {
      this.masks.hide(place.tracking_uid, true);
    }
  }

  private take(tool: DrawingTool): void {
    const { toolGroupService, viewportGridService } = this.host.servicesManager.services;
    const group = toolGroupService.getToolGroupForViewport(viewportGridService.getActiveViewportId() ?? '');
    if (!group) {
      return;
    }
    const { name, strategy } = TOOLS[tool];
    if (strategy && !group.hasTool(name)) {
      group.addToolInstance(name, 'Brush', { activeStrategy: strategy });
    }
    const usual = group.getActivePrimaryMouseButtonTool();
    this.before = usual ? { group, id: group.id, tool: usual } : null;
    this.host.commandsManager.runCommand('setToolActive', { toolName: name, toolGroupId: group.id });
    const current = this.images.activeCanvas?.getCurrentImageId?.();
    if (strategy && current) {
      const spacing = this.images.planeOf(current).columnPixelSpacing || 1;
      window.cornerstoneTools.utilities.segmentation.setBrushSizeForToolGroup(group.id, BRUSH_PIXELS * spacing, name);
    }
  }

  private giveBack(): void {
    if (this.before) {
      this.host.commandsManager.runCommand('setToolActive', { toolName: this.before.tool, toolGroupId: this.before.id });
      this.before = null;
    }
  }

  /** The reader's rectangles, the last one drawn at the end. */
  private get rectangles(): BoxAnnotation[] {
    return window.cornerstoneTools.annotation.state
      .getAllAnnotations()
      .filter(each => each.metadata?.toolName === 'RectangleROI' && !each.data.sightline && each.metadata.referencedImageId);
  }

  private placeOf({ annotationUID, metadata, data }: BoxAnnotation): PlaceIn | null {
    const imageId = metadata!.referencedImageId!;
    const series = this.seriesOf(imageId);
    const box = series && boxOf(data.handles.points, this.images.planeOf(imageId), this.images.sizeOf(imageId));
    if (!box) {
      return null;
    }
    if (annotationUID && !data.sightline) {
      this.used.add(annotationUID);
    }
    const slice = this.images.slicesOf(series).findIndex(each => each.imageId === imageId);
    return { tracking_uid: null, series_uid: series, start: [slice, box.top, box.left], stop: [slice + 1, box.bottom, box.right], mask: null };
  }

  private seriesOf(imageId: string): string | null {
    return window.cornerstone.metaData.get('instance', imageId)?.SeriesInstanceUID ?? null;
  }

  private get here(): { seriesUid: string; slice: number } | null {
    const canvas = this.images.activeCanvas;
    return canvas && this.images.here(canvas);
  }
}

function placeIn(seriesUid: string, { start, stop, pixels }: Block): PlaceIn {
  return { tracking_uid: null, series_uid: seriesUid, start, stop, mask: packed(pixels) };
}
