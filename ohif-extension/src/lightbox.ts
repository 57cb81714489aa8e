/** OHIF as far as drawing and pointing touch it, for unit tests: one viewport, with one slice of a CT of four slices of 10 x 12 pixels of 2 mm. */

import type { BoxAnnotation, Canvas, DisplaySet, Host, LabelmapImage, Point, Viewport } from './ohif';

export const CT = '2.25.2000';
export const [ROWS, COLUMNS, SLICES, SPACING] = [10, 12, 4, 2];
const VIEWPORT = 'viewport';

export class Lightbox {
  /** Rectangles of the assistant and of the reader, the last one drawn at the end. */
  annotations: BoxAnnotation[] = [];
  /** The tool in the reader's hand. */
  tool = 'WindowLevel';
  /** Index of the slice on the screen. */
  slice = 1;
  readonly element = document.createElement('div');
  private readonly images = new Map<string, LabelmapImage>();
  private readonly segmentations = new Map<string, string[]>();

  constructor() {
    this.element.dataset.viewportUid = VIEWPORT;
    document.body.append(this.element);
    Object.assign(window, {
      cornerstone: {
        Enums: { Events: { IMAGE_RENDERED: 'rendered' } },
        metaData: { get: (kind: string, imageId: string) => (kind === 'instance' ? instance(imageId) : plane(imageId)) },
        cache: {
          getImage: (imageId: string) => this.images.get(imageId),
          removeImageLoadObject: (imageId: string) => this.images.delete(imageId),
        },
        getEnabledElement: (element: HTMLElement) => (element === this.element ? { viewport: this.canvas } : undefined),
      },
      cornerstoneTools: {
        annotation: { state: { getAllAnnotations: () => this.annotations } },
        segmentation: {
          segmentationStyle: { setStyle: () => undefined },
          triggerSegmentationEvents: { triggerSegmentationDataModified: () => undefined },
        },
        utilities: { segmentation: { triggerSegmentationRenderBySegmentationId: () => undefined, setBrushSizeForToolGroup: () => undefined } },
      },
    });
  }

  readonly displaySet = { displaySetInstanceUID: 'ct', StudyInstanceUID: '1.2', SeriesInstanceUID: CT, Modality: 'CT', imageIds: names('ct') } as DisplaySet;

  /** Labelmaps that the viewer has. */
  get laid(): string[] {
    return [...this.segmentations.keys()];
  }

  /** The assistant's mask of a place, as OHIF reads it from a SEG. */
  segmentation(trackingUid: string, block: { start: readonly number[]; stop: readonly number[] }): DisplaySet {
    const names = this.labelmap('seg');
    this.paint('seg', block);
    return {
      displaySetInstanceUID: 'seg',
      instance: { SOPInstanceUID: '1.9', SegmentSequence: { SegmentNumber: 1, TrackingUID: trackingUid } },
      labelMapImages: [names.map(name => this.images.get(name)!)],
      segMetadata: { data: [undefined, { SegmentLabel: 'Nodule', rgba: [255, 221, 51, 255] }] },
    } as unknown as DisplaySet;
  }

  /** What the brush leaves on a labelmap, or with 0 the eraser. */
  paint(id: string, { start, stop }: { start: readonly number[]; stop: readonly number[] }, value = 1): void {
    for (let slice = start[0]!; slice < stop[0]!; slice += 1) {
      for (let row = start[1]!; row < stop[1]!; row += 1) {
        for (let column = start[2]!; column < stop[2]!; column += 1) {
          this.images.get(this.segmentations.get(id)![slice]!)!.voxelManager.setAtIndex(row * COLUMNS + column, value);
        }
      }
    }
  }

  /** A rectangle around pixels, half-open; with a tracking UID one of the assistant's. */
  rectangle(uid: string, slice: number, [top, left]: readonly number[], [bottom, right]: readonly number[], trackingUid?: string): BoxAnnotation {
    const points = [[top!, left!], [top!, right!], [bottom!, left!], [bottom!, right!]].map(
      ([row, column]): Point => [(column! - 0.5) * SPACING, (row! - 0.5) * SPACING, slice * SPACING]
    );
    const data = { handles: { points }, ...(trackingUid && { sightline: { trackingUid, documentUid: '1.9' } }) };
    const drawn = { annotationUID: uid, metadata: { toolName: 'RectangleROI', referencedImageId: `ct:${slice}` }, data };
    this.annotations.push(drawn);
    return drawn;
  }

  /** A canvas of as many pixels as millimetres. */
  private readonly canvas = {
    id: VIEWPORT,
    element: this.element,
    getImageIds: () => names('ct'),
    getCurrentImageId: () => `ct:${this.slice}`,
    setImageIdIndex: async (index: number) => void (this.slice = index),
    canvasToWorld: ([x, y]: [number, number]): Point => [x, y, this.slice * SPACING],
    worldToCanvas: ([x, y]: Point) => [x, y],
    getCamera: () => ({ focalPoint: [0, 0, this.slice * SPACING], position: [0, 0, -100], viewPlaneNormal: [0, 0, 1] }),
    setCamera: () => undefined,
    render: () => undefined,
  } as unknown as Canvas;

  readonly host = {
    servicesManager: {
      services: {
        displaySetService: { getActiveDisplaySets: () => [this.displaySet] },
        viewportGridService: {
          getActiveViewportId: () => VIEWPORT,
          getState: () => ({ viewports: new Map<string, Viewport>([[VIEWPORT, { viewportId: VIEWPORT, displaySetInstanceUIDs: ['ct'] }]]) }),
        },
        cornerstoneViewportService: { getCornerstoneViewport: () => this.canvas },
        measurementService: {
          remove: (uid: string) => (this.annotations = this.annotations.filter(({ annotationUID }) => annotationUID !== uid)),
        },
        toolGroupService: {
          getToolGroupForViewport: () => ({ id: 'group', hasTool: () => true, getActivePrimaryMouseButtonTool: () => this.tool }),
        },
        segmentationService: {
          createLabelmapForDisplaySet: async (_: DisplaySet, { segmentationId }: { segmentationId: string }) => this.labelmap(segmentationId),
          getSegmentation: (id: string) => ({ representationData: { Labelmap: { imageIds: this.segmentations.get(id) ?? [] } } }),
          getSegmentationRepresentations: () => [],
          getViewportIdsWithSegmentation: () => [],
          addSegmentationRepresentation: async () => undefined,
          setActiveSegmentation: () => undefined,
          setActiveSegment: () => undefined,
          remove: (id: string) => this.segmentations.delete(id),
        },
      },
    },
    commandsManager: { runCommand: (_: string, { toolName }: { toolName: string }) => (this.tool = toolName) },
    extensionManager: { getActiveDataSource: () => [] },
  } as unknown as Host;

  private labelmap(id: string): string[] {
    const imageIds = names(id);
    imageIds.forEach((imageId, index) => {
      const pixels = new Uint8Array(ROWS * COLUMNS);
      const voxelManager = {
        getAtIndex: (at: number) => pixels[at]!,
        getScalarData: () => pixels,
        setAtIndex: (at: number, value: number) => void (pixels[at] = value),
      };
      this.images.set(imageId, { imageId, referencedImageId: `ct:${index}`, voxelManager });
    });
    this.segmentations.set(id, imageIds);
    return imageIds;
  }
}

function names(id: string): string[] {
  return Array.from({ length: SLICES }, (_, index) => `${id}:${index}`);
}

function indexOf(imageId: string): number {
  return Number(imageId.split(':')[1]);
}

function instance(imageId: string) {
  return {
    SOPInstanceUID: `${CT}.${indexOf(imageId)}`,
    SeriesInstanceUID: CT,
    Rows: ROWS,
    Columns: COLUMNS,
    ImagePositionPatient: [0, 0, indexOf(imageId) * SPACING],
    ImageOrientationPatient: [1, 0, 0, 0, 1, 0],
  };
}

function plane(imageId: string) {
  return {
    imagePositionPatient: [0, 0, indexOf(imageId) * SPACING],
    rowCosines: [1, 0, 0],
    columnCosines: [0, 1, 0],
    rowPixelSpacing: SPACING,
    columnPixelSpacing: SPACING,
  };
}
