/** A labelmap of our own on a series, with one segment: a draft, or a mask that the reader works on. */

import type { DisplaySet, Host, LabelmapImage } from '../ohif';
import type { Images } from './images';
import { blockAround, shapeOf, type Block } from './pixels';

const SEGMENT = 1;

export class Labelmap {
  private constructor(
    private readonly host: Host,
    private readonly images: Images,
    readonly id: string,
    readonly seriesUid: string,
    private readonly displaySet: DisplaySet,
    private readonly colour: readonly number[]
  ) {}

  /** An empty one on the display set that shows a slice. */
  static async on(
    host: Host,
    images: Images,
    seriesUid: string,
    slice: number,
    { id, label, colour }: { id: string; label: string; colour: readonly number[] }
  ): Promise<Labelmap> {
    const displaySet = images.displaySet(images.slicesOf(seriesUid)[slice]?.displaySetUid ?? '');
    if (!displaySet) {
      throw new Error('The viewer does not have this image; open its study.');
    }
    displaySet.imageIds = images.imageIdsOf(displaySet);
    const segments = { [SEGMENT]: { segmentIndex: SEGMENT, label, locked: false, active: true, cachedStats: {} } };
    await host.servicesManager.services.segmentationService.createLabelmapForDisplaySet(displaySet, { segmentationId: id, label, segments });
    return new Labelmap(host, images, id, seriesUid, displaySet, colour);
  }

  /** Put a block's pixels in. */
  write({ start, stop, pixels }: Block): void {
    const [depth, height, width] = shapeOf({ start, stop });
    const slices = this.images.slicesOf(this.seriesUid);
    const bySource = new Map(this.layers.map(image => [image.referencedImageId, image]));
    for (let slice = 0; slice < depth; slice += 1) {
      const { imageId } = slices[start[0] + slice] ?? { imageId: '' };
      const image = bySource.get(imageId);
      if (!image) {
        continue;
      }
      const { columns } = this.images.sizeOf(imageId);
      for (let place = 0; place < height * width; place += 1) {
        if (pixels[slice * height * width + place]) {
          image.voxelManager.setAtIndex((start[1] + Math.floor(place / width)) * columns + start[2] + (place % width), SEGMENT);
        }
      }
    }
    window.cornerstoneTools.segmentation.triggerSegmentationEvents.triggerSegmentationDataModified(this.id);
  }

  /** What it holds now; null where that is nothing. */
  read(): Block | null {
    const slices = this.images.slicesOf(this.seriesUid);
    const indices = new Map(slices.map(({ imageId }, index) => [imageId, index]));
    const pixels = new Map(
      this.layers.flatMap((image): [number, ArrayLike<number>][] => {
        const index = indices.get(image.referencedImageId);
        return index === undefined ? [] : [[index, image.voxelManager.getScalarData()]];
      })
    );
    return slices[0] ? blockAround(pixels, this.images.sizeOf(slices[0].imageId).columns, SEGMENT) : null;
  }

  /** Show it in every viewport that shows its images, and let brushes work on it. */
  async lay(): Promise<void> {
    const colours = [[0, 0, 0, 0], [...this.colour, 255]];
    for (const { id: viewportId } of this.images.showing(this.displaySet.displaySetInstanceUID)) {
      await this.service.addSegmentationRepresentation(viewportId, { segmentationId: this.id, type: 'Labelmap', config: { colorLUTOrIndex: colours } });
      this.service.setActiveSegmentation(viewportId, this.id);
    }
    this.service.setActiveSegment(this.id, SEGMENT);
  }

  remove(): void {
    const layers = this.layers;
    this.service.remove(this.id);
    // By force: once a brush has worked on them they belong to a volume, too, and Cornerstone would refuse.
    layers.forEach(({ imageId }) => window.cornerstone.cache.removeImageLoadObject(imageId, { force: true }));
  }

  private get layers(): LabelmapImage[] {
    const ids = this.service.getSegmentation(this.id)?.representationData.Labelmap.imageIds ?? [];
    return ids.flatMap(imageId => window.cornerstone.cache.getImage(imageId) ?? []);
  }

  private get service() {
    return this.host.servicesManager.services.segmentationService;
  }
}
