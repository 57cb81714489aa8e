/**
 * The part of OHIF 3.13 that this extension touches, as types. OHIF publishes none for extensions that are loaded at run
 * time, so this page is the contract, and the browser test holds it against the real viewer.
 */

export interface Subscription {
  unsubscribe(): void;
}

interface PubSub<Event extends string> {
  readonly EVENTS: Readonly<Record<Event, string>>;
  subscribe(event: string, callback: (data: never) => void): Subscription;
}

export interface ReferencedSeries {
  SeriesInstanceUID?: string;
  ReferencedInstanceSequence?: { ReferencedSOPInstanceUID: string }[];
}

/** An item of a Structured Report's content tree. */
export interface ContentItem {
  UID?: string;
  ContentSequence?: ContentItem[] | ContentItem;
}

interface Segment {
  SegmentNumber?: number | string;
  TrackingUID?: string;
}

/** One instance's header, as OHIF naturalises it. */
export interface Instance {
  SOPInstanceUID: string;
  SeriesInstanceUID?: string;
  SeriesNumber?: number | string;
  InstanceNumber?: number | string;
  ImagePositionPatient?: (number | string)[];
  ImageOrientationPatient?: (number | string)[];
  Rows?: number;
  Columns?: number;
  ContentSequence?: ContentItem[] | ContentItem;
  SegmentSequence?: Segment[] | Segment;
  Manufacturer?: string;
  ContentDate?: string;
  ContentTime?: string;
  ReferencedSeriesSequence?: ReferencedSeries[];
}

/** One slice of a labelmap: its pixels, in the order (row, column), are numbers of segments. */
export interface LabelmapImage {
  imageId: string;
  referencedImageId: string;
  voxelManager: { getAtIndex(index: number): number; getScalarData(): ArrayLike<number>; setAtIndex(index: number, value: number): void };
}

/** What OHIF shows as one thumbnail: an image series, a single radiograph, a SEG, an SR. */
export interface DisplaySet {
  displaySetInstanceUID: string;
  StudyInstanceUID: string;
  SeriesInstanceUID: string;
  Modality: string;
  isDerivedDisplaySet?: boolean;
  /** Derived display sets only: the newest instance of the series. */
  instance?: Instance;
  /** Image display sets only, in the order in which they are scrolled. */
  instances?: Instance[];
  SeriesDescription?: string;
  StudyDate?: string;
  /** SEG only. */
  referencedDisplaySetInstanceUID?: string | null;
  /** SEG only, once loaded: labelmaps whose segments do not overlap, each with an image for every image of the source. */
  labelMapImages?: LabelmapImage[][];
  /** SEG only, once loaded: the segments on each image of the source. */
  segmentsOnFrame?: (number[] | undefined)[];
  /** SEG only, once loaded: the images that the labelmaps are laid over. */
  referencedImageIds?: string[];
  /** SEG only, once loaded: by Segment Number, from 1. */
  segMetadata?: { data: ({ SegmentLabel?: string; rgba?: number[] } | undefined)[] };
  /** Image display sets; some data sources fill it in late. */
  imageIds?: string[];
  /** SR only: what it draws, and on which display set. */
  measurements?: { loaded: boolean; TrackingUniqueIdentifier: string; imageId?: string }[] | null;
  load?(options: object): Promise<unknown>;
}

/** A place of the grid: the images it shows, and the layers upon them. */
export interface Viewport {
  viewportId: string;
  displaySetInstanceUIDs: string[];
}

/** A coded concept; `ref` is scheme and value. */
export interface Code {
  ref: string;
}

export interface Measurement {
  uid: string;
  finding?: Code;
  findingSites?: Code[];
  label?: string;
  SOPInstanceUID: string;
  displaySetInstanceUID: string;
}

export type Point = [number, number, number];

/** Where an image is in the patient, in millimetres (PS3.3 C.7.6.2). */
export interface ImagePlane {
  imagePositionPatient: Point;
  rowCosines: Point;
  columnCosines: Point;
  rowPixelSpacing: number | null;
  columnPixelSpacing: number | null;
}

/** What a box of ours knows of itself. */
export interface Mark {
  trackingUid: string;
  documentUid: string;
  /** A radiologist put it there, and not the model. */
  isAdded?: boolean;
}

export interface BoxAnnotation {
  annotationUID?: string;
  metadata?: { toolName?: string; referencedImageId?: string };
  data: { label?: string; finding?: Code; findingSites?: Code[]; sightline?: Mark; handles: { points: Point[] } };
}

export type TextLines = (data: BoxAnnotation['data'], ...rest: unknown[]) => string[];

/** An SR's measurements before they are drawn, by kind of annotation. */
export interface Hydration {
  displaySet: DisplaySet;
  storedMeasurementByAnnotationType: Record<string, { TrackingUniqueIdentifier: string; annotation: BoxAnnotation }[]>;
}

export interface Segmentation {
  segmentationId: string;
  representation: { type: 'Labelmap'; data: { imageIds: string[]; referencedImageIds: string[] } };
  config: { label: string; segments: Record<number, { segmentIndex: number; label: string; locked: boolean; active: boolean; cachedStats: object }> };
}

export interface Tool {
  configuration: { getTextLines: TextLines };
}

export interface ToolGroup {
  id: string;
  getToolInstance(name: string): Tool | undefined;
  hasTool(name: string): boolean;
  addToolInstance(name: string, parent: string, configuration: object): void;
  getActivePrimaryMouseButtonTool(): string | undefined;
}

/** What a viewport draws, an image or a mask, of which image, and VTK's part of it. */
export interface Actor {
  referencedId?: string;
  representationUID?: string;
  actor: { setForceOpaque?(isForced: boolean): void; onModified(heard: () => void): void };
}

/** A viewport as Cornerstone has it; a stack has an index to set, a volume a place to jump to. */
export interface Canvas {
  id: string;
  type: string;
  element: HTMLElement;
  getImageIds(): string[];
  getActors?(): Actor[];
  getCurrentImageId?(): string | undefined;
  setImageIdIndex?(index: number): Promise<unknown>;
  jumpToWorld?(world: Point): void;
  canvasToWorld(place: [number, number]): Point;
  worldToCanvas(world: Point): [number, number];
  getCamera(): { focalPoint: Point; position: Point; viewPlaneNormal: Point };
  setCamera(camera: { focalPoint: Point; position: Point }): void;
  render(): void;
}

export interface Services {
  displaySetService: PubSub<'DISPLAY_SETS_ADDED'> & {
    getActiveDisplaySets(): DisplaySet[];
    getDisplaySetsForReferences(references: ReferencedSeries[]): DisplaySet[];
    deleteDisplaySet(displaySetUid: string): void;
  };
  viewportGridService: PubSub<'ACTIVE_VIEWPORT_ID_CHANGED' | 'GRID_STATE_CHANGED'> & {
    getActiveViewportId(): string | null;
    setActiveViewportId(viewportId: string): void;
    getState(): { viewports: Map<string, Viewport>; layout?: { numRows: number; numCols: number } };
  };
  cornerstoneViewportService: PubSub<'VIEWPORT_DATA_CHANGED'> & { getCornerstoneViewport(viewportId: string): Canvas | null };
  hangingProtocolService: { getViewportsRequireUpdate(viewportId: string, displaySetUid: string): object[] };
  measurementService: {
    getMeasurements(): Measurement[];
    remove(measurementUid: string): void;
  };
  segmentationService: {
    addOrUpdateSegmentation(segmentation: Segmentation): void;
    createLabelmapForDisplaySet(displaySet: DisplaySet, options: { segmentationId: string; label: string; segments: Segmentation['config']['segments'] }): Promise<string>;
    getSegmentation(segmentationId: string): { representationData: { Labelmap: { imageIds: string[] } } } | undefined;
    getSegmentationRepresentations(viewportId: string, specifier: { segmentationId: string }): { type: string }[];
    addSegmentationRepresentation(viewportId: string, options: { segmentationId: string; type: 'Labelmap'; config?: { colorLUTOrIndex: number[][] } }): Promise<void>;
    remove(segmentationId: string): void;
    setActiveSegmentation(viewportId: string, segmentationId: string): void;
    setActiveSegment(segmentationId: string, segmentIndex: number): void;
    setSegmentColor(viewportId: string, segmentationId: string, segmentIndex: number, colour: number[]): void;
    setSegmentVisibility(viewportId: string, segmentationId: string, segmentIndex: number, isVisible: boolean, type: 'Labelmap'): void;
    getViewportIdsWithSegmentation(segmentationId: string): string[];
  };
  toolGroupService: {
    getToolGroupIds(): string[];
    getToolGroup(id: string): ToolGroup | undefined;
    getToolGroupForViewport(viewportId: string): ToolGroup | undefined;
  };
  customizationService: { setCustomizations(customizations: object, scope?: string): void };
  panelService: PubSub<'PANELS_CHANGED'> & {
    PanelPosition: { Right: string };
    getPanels(position: string): { id: string }[];
    addPanel(position: string, panelId: string): void;
    activatePanel(panelId: string, force: boolean): void;
  };
  uiNotificationService: { show(notification: { title: string; message: string; type: 'warning' | 'info' }): void };
}

/** Where OHIF gets studies from; ours or another's. */
export interface DataSource {
  query: { series: { search(studyUid: string): Promise<{ seriesInstanceUid: string; modality: string }[]> } };
  retrieve: {
    series: { metadata(options: { StudyInstanceUID: string; filters?: { seriesInstanceUID: string[] }; returnPromises?: boolean }): Promise<unknown> };
  };
  deleteStudyMetadataPromise?(key: string): void;
  getConfig?(): { name?: string };
  getImageIdsForDisplaySet(displaySet: DisplaySet): string[];
}

/** What OHIF hands to every hook of an extension. */
export interface Host {
  servicesManager: { services: Services };
  commandsManager: { runCommand(name: string, options: object): unknown };
  extensionManager: { getActiveDataSource(): DataSource[] };
}

interface Configuration {
  measurementTrackingMode?: 'standard' | 'simplified' | 'none';
}

/** What OHIF hands to an extension before it registers it: its configuration, with what it puts where the site says nothing. */
export interface Registration {
  appConfig: Configuration;
}

declare global {
  interface Window {
    /** What the site says. */
    config?: Configuration | (() => Promise<Configuration>);
    /** OHIF puts its rendering library and its tools here. */
    cornerstone: {
      metaData: {
        get(kind: 'imagePlaneModule', imageId: string): ImagePlane | undefined;
        get(kind: 'instance', imageId: string): Instance | undefined;
      };
      cache: { getImage(imageId: string): LabelmapImage | undefined; removeImageLoadObject(imageId: string, options: { force: boolean }): void };
      Enums: { Events: { IMAGE_RENDERED: string; ACTORS_CHANGED: string } };
      getEnabledElement(element: HTMLElement): { viewport: Canvas } | undefined;
    };
    cornerstoneTools: {
      Enums: { Events: { MOUSE_CLICK: string } };
      annotation: {
        config: { style: { setAnnotationStyles(uid: string, styles: object): void } };
        selection: { getAnnotationsSelected(): string[]; setAnnotationSelected(uid: string, isSelected: boolean, isAdded: boolean): void };
        state: { getAnnotation(uid: string): BoxAnnotation | undefined; getAllAnnotations(): BoxAnnotation[]; removeAnnotation(uid: string): void };
        visibility: { setAnnotationVisibility(uid: string, isVisible: boolean): void };
      };
      segmentation: {
        /** Says nothing to anyone; `config.style` tells every viewport, and each word is a drawing. */
        segmentationStyle: {
          setStyle(
            specifier: { type: 'Labelmap'; segmentationId: string; segmentIndex?: number },
            style: { fillAlpha: number; fillAlphaInactive: number } | { renderOutline: boolean; renderOutlineInactive: boolean }
          ): void;
        };
        triggerSegmentationEvents: { triggerSegmentationDataModified(segmentationId: string): void };
      };
      utilities: {
        segmentation: {
          triggerSegmentationRender(viewportId: string): void;
          triggerSegmentationRenderBySegmentationId(segmentationId: string): void;
          setBrushSizeForToolGroup(toolGroupId: string, radius: number, toolName: string): void;
        };
      };
    };
  }
}
