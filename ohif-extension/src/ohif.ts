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

/** One instance's header, as OHIF naturalises it. */
export interface Instance {
  SOPInstanceUID: string;
  SeriesNumber?: number | string;
  ContentSequence?: ContentItem[] | ContentItem;
  SegmentSequence?: { TrackingUID?: string }[] | { TrackingUID?: string };
  Manufacturer?: string;
  ContentDate?: string;
  ContentTime?: string;
  ReferencedSeriesSequence?: ReferencedSeries[];
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
  /** SEG only. */
  referencedDisplaySetInstanceUID?: string | null;
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

export interface BoxAnnotation {
  data: { label?: string; finding?: Code; findingSites?: Code[]; isSightline?: boolean; handles: { points: Point[] } };
}

export type TextLines = (data: BoxAnnotation['data'], ...rest: unknown[]) => string[];

/** An SR's measurements before they are drawn, by kind of annotation. */
export interface Hydration {
  displaySet: DisplaySet;
  storedMeasurementByAnnotationType: Record<string, { TrackingUniqueIdentifier: string; annotation: BoxAnnotation }[]>;
}

export interface Services {
  displaySetService: PubSub<'DISPLAY_SETS_ADDED'> & {
    getActiveDisplaySets(): DisplaySet[];
    getDisplaySetsForReferences(references: ReferencedSeries[]): DisplaySet[];
  };
  viewportGridService: PubSub<'ACTIVE_VIEWPORT_ID_CHANGED' | 'GRID_STATE_CHANGED'> & {
    getActiveViewportId(): string | null;
    getState(): { viewports: Map<string, Viewport> };
  };
  cornerstoneViewportService: PubSub<'VIEWPORT_DATA_CHANGED'>;
  measurementService: {
    getMeasurements(): Measurement[];
    jumpToMeasurement(viewportId: string, measurementUid: string): void;
  };
  toolGroupService: {
    getToolGroupIds(): string[];
    getToolGroup(id: string): { getToolInstance(name: string): { configuration: { getTextLines: TextLines } } | undefined } | undefined;
  };
  panelService: PubSub<'PANELS_CHANGED'> & { activatePanel(panelId: string, force: boolean): void };
  uiNotificationService: { show(notification: { title: string; message: string; type: 'warning' }): void };
}

/** What OHIF hands to every hook of an extension. */
export interface Host {
  servicesManager: { services: Services };
  commandsManager: { runCommand(name: string, options: object): unknown };
}

declare global {
  interface Window {
    /** OHIF puts its rendering library and its tools here. */
    cornerstone: { metaData: { get(kind: 'imagePlaneModule', imageId: string): ImagePlane | undefined } };
    cornerstoneTools: {
      annotation: {
        selection: { getAnnotationsSelected(): string[] };
        state: { getAnnotation(uid: string): BoxAnnotation | undefined };
      };
    };
  }
}
