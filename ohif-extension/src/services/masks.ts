/** The masks of our Segmentations: laid over the images, lit, hit by a click, and taken away again. */

import type { DisplaySet, Host, LabelmapImage, Segmentation } from '../ohif';
import type { Images, Spot } from './images';
import { blockAround, type Block } from './pixels';
import { asList } from './results';

/** How much of the image a mask covers: as OHIF draws it, lit, and while another is lit. */
const USUAL = 0.5;
const LIT = 0.7;
const DIM = 0.15;
/** Cornerstone looks for the outline at up to 49 places around each pixel of the screen; the box says where a mask ends, too. */
const WITHOUT_OUTLINE = { renderOutline: false, renderOutlineInactive: false };
/** How long a mask may take to appear: a slow browser draws a frame in a tenth of a second, and the image comes first. */
const FRAMES = 600;

/** Segments that do not overlap, as one labelmap. */
interface Layer {
  segmentationId: string;
  images: LabelmapImage[];
  byImage: Map<string, LabelmapImage>;
  segments: number[];
}

interface Loaded {
  displaySet: DisplaySet;
  layers: Layer[];
  trackingUids: Map<number, string>;
  colours: number[][];
}

export class Masks {
  private readonly loaded = new Map<string, Promise<Loaded>>();
  private readonly present = new Map<string, Loaded>();
  private readonly laid = new Set<string>();
  private lit: string | null = null;
  private isVisible = true;
  private readonly hidden = new Set<string>();
  private readonly told = new Map<string, unknown>();
  /** Viewports whose masks look different now, with the image that each showed when they were changed. */
  private readonly due = new Map<string, string | undefined>();

  constructor(
    private readonly host: Host,
    private readonly images: Images
  ) {}

  /** Lay a Segmentation over the images of a viewport, once: what the reader then removes stays removed. */
  async lay(segmentation: DisplaySet, viewportId: string): Promise<void> {
    const uid = segmentation.displaySetInstanceUID;
    const key = `${viewportId} ${uid}`;
    if (this.laid.has(key)) {
      return;
    }
    this.laid.add(key);
    if (!this.loaded.has(uid)) {
      this.loaded.set(uid, this.load(segmentation));
    }
    const { layers, colours } = await this.loaded.get(uid)!;
    for (const { segmentationId, segments } of layers) {
      const isLaid = () => this.service.getSegmentationRepresentations(viewportId, { segmentationId }).length > 0;
      if (!isLaid()) {
        window.cornerstoneTools.segmentation.segmentationStyle.setStyle({ type: 'Labelmap', segmentationId }, WITHOUT_OUTLINE);
        const config = { colorLUTOrIndex: colours };
        await this.service.addSegmentationRepresentation(viewportId, { segmentationId, type: 'Labelmap', config });
      }
      // OHIF lays them itself when it makes its viewports anew, in the colours that it was told last. A viewport that a new
      // layout has taken away meanwhile has nothing to colour.
      if (isLaid()) {
        segments.forEach(segment => this.service.setSegmentColor(viewportId, segmentationId, segment, colours[segment]!));
      }
    }
    this.paint();
    void this.appear(layers, viewportId);
  }

  /**
   * Cornerstone stops to draw segmentations where it was asked for one that no viewport shows, and goes on when it is asked
   * again; so it is asked until they are there.
   */
  private async appear(layers: readonly Layer[], viewportId: string): Promise<void> {
    for (let frame = 0; frame < FRAMES; frame += 1) {
      const uids = this.images.canvas(viewportId)?.getActors?.().map(actor => actor.representationUID ?? '') ?? [];
      const missing = layers.filter(layer => !uids.some(uid => isOf(layer, uid)));
      if (missing.length === 0) {
        return;
      }
      missing.forEach(({ segmentationId }) => window.cornerstoneTools.utilities.segmentation.triggerSegmentationRenderBySegmentationId(segmentationId));
      await new Promise(resolve => requestAnimationFrame(resolve));
    }
  }

  /**
   * OHIF reads segments that overlap as several labelmaps, and then takes them for one, which volumes cannot show; each
   * becomes a segmentation of its own.
   */
  private async load(displaySet: DisplaySet): Promise<Loaded> {
    await displaySet.load?.({});
    const uid = displaySet.displaySetInstanceUID;
    const groups = displaySet.labelMapImages ?? [];
    const described = displaySet.segMetadata?.data ?? [];
    const trackingUids = new Map(
      asList(displaySet.instance?.SegmentSequence).map(each => [Number(each.SegmentNumber), each.TrackingUID ?? ''])
    );
    const layers = groups.map((images, index): Layer => {
      const segments = groups.length === 1 ? [...trackingUids.keys()] : segmentsIn(images, displaySet);
      const byImage = new Map(images.map(image => [image.referencedImageId, image]));
      return { segmentationId: index ? `${uid}.${index}` : uid, images, byImage, segments };
    });
    if (layers.length > 1) {
      this.service.remove(uid);
      layers.forEach(layer => this.service.addOrUpdateSegmentation(describe(layer, displaySet)));
    }
    const colours = described.map(each => [...(each?.rgba?.slice(0, 3) ?? [0, 0, 0]), each?.rgba ? 255 : 0]);
    const loaded = { displaySet, layers, trackingUids, colours };
    this.present.set(uid, loaded);
    return loaded;
  }

  /** Take away all Segmentations but these. */
  keep(wanted: readonly DisplaySet[]): void {
    const uids = new Set(wanted.map(each => each.displaySetInstanceUID));
    for (const [uid, { layers }] of this.present) {
      if (!uids.has(uid)) {
        this.present.delete(uid);
        this.loaded.delete(uid);
        this.laid.forEach(key => key.endsWith(` ${uid}`) && this.laid.delete(key));
        for (const { segmentationId, images } of layers) {
          this.service.remove(segmentationId);
          const { cache } = window.cornerstone;
          images.forEach(({ imageId }) => cache.getImage(imageId) && cache.removeImageLoadObject(imageId, { force: true }));
        }
      }
    }
  }

  /** Light the mask of one place and dim the others; null shows all as usual. */
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

  /** Hide one place's mask while the reader works on a copy of it. */
  hide(trackingUid: string, isHidden: boolean): void {
    if (isHidden) {
      this.hidden.add(trackingUid);
    } else {
      this.hidden.delete(trackingUid);
    }
    this.paint();
  }

  /** Whether what a viewport draws is a mask of ours. */
  isMask(representationUid: string): boolean {
    return [...this.present.values()].some(({ layers }) => layers.some(layer => isOf(layer, representationUid)));
  }

  /** The place whose mask has a pixel; of several the smallest. */
  at({ seriesUid, slice, row, column }: Spot): string | null {
    const imageId = this.images.slicesOf(seriesUid)[slice]?.imageId;
    let hit: { uid: string; area: number } | null = null;
    for (const { layers, trackingUids } of this.present.values()) {
      for (const { byImage } of layers) {
        const pixels = imageId === undefined ? undefined : byImage.get(imageId)?.voxelManager.getScalarData();
        const segment = pixels?.[row * this.images.sizeOf(imageId!).columns + column];
        const uid = segment ? trackingUids.get(segment) : undefined;
        if (uid) {
          const area = count(pixels!, segment!);
          hit = hit && hit.area <= area ? hit : { uid, area };
        }
      }
    }
    return hit?.uid ?? null;
  }

  /** The pixels of a place's mask; null where it has none here. */
  blockOf(trackingUid: string, seriesUid: string): Block | null {
    for (const { layers, trackingUids } of this.present.values()) {
      const segment = [...trackingUids].find(([, uid]) => uid === trackingUid)?.[0];
      const layer = layers.find(each => segment !== undefined && each.segments.includes(segment));
      if (segment !== undefined && layer) {
        const slices = this.images.slicesOf(seriesUid);
        const pixels = new Map<number, ArrayLike<number>>();
        slices.forEach(({ imageId }, index) => {
          const image = layer.byImage.get(imageId);
          if (image) {
            pixels.set(index, image.voxelManager.getScalarData());
          }
        });
        return slices[0] ? blockAround(pixels, this.images.sizeOf(slices[0].imageId).columns, segment) : null;
      }
    }
    return null;
  }

  /** Display colour of a place's mask, as CSS has it. */
  colourOf(trackingUid: string): string | null {
    for (const { trackingUids, colours } of this.present.values()) {
      for (const [segment, uid] of trackingUids) {
        const colour = colours[segment];
        if (uid === trackingUid && colour) {
          return `rgb(${colour.slice(0, 3).map(Math.round).join(', ')})`;
        }
      }
    }
    return null;
  }

  /** Tell Cornerstone what has changed of how the segments look, and nothing else: most words to OHIF cost a drawing each. */
  private paint(): void {
    const isLit = [...this.present.values()].some(({ trackingUids }) => [...trackingUids.values()].includes(this.lit ?? ''));
    for (const { layers, trackingUids } of this.present.values()) {
      for (const { segmentationId, segments } of layers) {
        const viewportIds = this.service.getViewportIdsWithSegmentation(segmentationId);
        for (const segmentIndex of segments) {
          const uid = trackingUids.get(segmentIndex) ?? '';
          const isHidden = !this.isVisible || this.hidden.has(uid);
          const alpha = isHidden ? 0 : !isLit ? USUAL : uid === this.lit ? LIT : DIM;
          if (this.change(`${segmentationId} ${segmentIndex} alpha`, alpha, USUAL)) {
            const style = { fillAlpha: alpha, fillAlphaInactive: alpha };
            window.cornerstoneTools.segmentation.segmentationStyle.setStyle({ type: 'Labelmap', segmentationId, segmentIndex }, style);
            viewportIds.forEach(viewportId => this.drawSoon(viewportId));
          }
          for (const viewportId of viewportIds) {
            if (this.change(`${segmentationId} ${segmentIndex} ${viewportId}`, isHidden, false)) {
              this.service.setSegmentVisibility(viewportId, segmentationId, segmentIndex, !isHidden, 'Labelmap');
            }
          }
        }
      }
    }
  }

  private drawSoon(viewportId: string): void {
    if (this.due.size === 0) {
      requestAnimationFrame(this.draw);
    }
    if (!this.due.has(viewportId)) {
      this.due.set(viewportId, this.images.canvas(viewportId)?.getCurrentImageId?.());
    }
  }

  /** Each viewport once; a stack that has meanwhile gone to another image draws its masks anew by itself. */
  private readonly draw = (): void => {
    this.due.forEach((imageId, viewportId) => {
      const canvas = this.images.canvas(viewportId);
      if (canvas && !(canvas.setImageIdIndex && canvas.getCurrentImageId?.() !== imageId)) {
        window.cornerstoneTools.utilities.segmentation.triggerSegmentationRender(viewportId);
      }
    });
    this.due.clear();
  };

  private change(what: string, value: unknown, usual: unknown): boolean {
    const before = this.told.get(what) ?? usual;
    this.told.set(what, value);
    return before !== value;
  }

  private get service() {
    return this.host.servicesManager.services.segmentationService;
  }
}

function isOf({ segmentationId }: Layer, representationUid: string): boolean {
  return representationUid.startsWith(`${segmentationId}-Labelmap`);
}

function count(pixels: ArrayLike<number>, value: number): number {
  let found = 0;
  for (let place = 0; place < pixels.length; place += 1) {
    found += pixels[place] === value ? 1 : 0;
  }
  return found;
}

/** Numbers of the segments in a labelmap. */
function segmentsIn(images: readonly LabelmapImage[], { segmentsOnFrame }: DisplaySet): number[] {
  const found = new Set<number>();
  images.forEach((image, index) => {
    const expected = new Set(segmentsOnFrame?.[index] ?? []);
    if ([...expected].every(segment => found.has(segment))) {
      return;
    }
    const pixels = image.voxelManager.getScalarData();
    for (let place = 0; place < pixels.length; place += 1) {
      if (pixels[place]) {
        found.add(pixels[place]!);
      }
    }
  });
  return [...found].sort((left, right) => left - right);
}

function describe({ segmentationId, images, segments }: Layer, displaySet: DisplaySet): Segmentation {
  const described = displaySet.segMetadata?.data ?? [];
  return {
    segmentationId,
    representation: {
      type: 'Labelmap',
      data: { imageIds: images.map(each => each.imageId), referencedImageIds: displaySet.referencedImageIds ?? [] },
    },
    config: {
      label: displaySet.SeriesDescription ?? 'AI segmentation',
      segments: Object.fromEntries(
        segments.map(segmentIndex => [
          segmentIndex,
          { segmentIndex, label: described[segmentIndex]?.SegmentLabel ?? `Segment ${segmentIndex}`, locked: false, active: false, cachedStats: {} },
        ])
      ),
    },
  };
}
