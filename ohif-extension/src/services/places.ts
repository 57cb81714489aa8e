/** Between the panel and the images: what a sentence's place is on the screen, and what a reader draws or points at there. */

import type { components } from '../types';

export type Place = components['schemas']['Place'];

/** A place as the API takes it: `tracking_uid` alone keeps that place of the finding as it is. */
export type PlaceIn = components['schemas']['PlaceIn'];

/** A place that is drawn but not kept yet: what the assistant answered. */
export type Drawn = Omit<components['schemas']['Drawn'], 'score'>;

/** The viewer's own tools for drawing. */
export type DrawingTool = 'box' | 'brush' | 'eraser';

export interface PointOnSlice {
  series_uid: string;
  slice: number;
  row: number;
  column: number;
}

export interface BoxOnSlice {
  series_uid: string;
  slice: number;
  top: number;
  left: number;
  /** Row and column after the last. */
  bottom: number;
  right: number;
}

export interface Places {
  /** Show a place: its series, slice, box and mask, in stack and MPR viewports. One without a Tracking UID gets a dashed frame. */
  goTo(place: Pick<Place, 'series_uid' | 'instance_uid' | 'start' | 'stop' | 'tracking_uid'>, colour: string): Promise<void>;
  /** Light a place while the pointer or the focus is on its sentence; null ends it. */
  preview(place: Pick<Place, 'tracking_uid'> | null): void;
  /** Light the box and mask of a sentence's place, and dim what was lit. */
  select(trackingUid: string | null): void;
  /** Hear of clicks on a box or on a pixel of a mask; returns how to stop. */
  onSelected(heard: (trackingUid: string | null) => void): () => void;
  /** All of ours off, or on; returns whether they are on now. */
  toggleOverlays(): boolean;
  /** The archive may hold another version: draw what is in force now and take away what is not. */
  refresh(studyUid: string): Promise<void>;
  /** What the reader drew last with the viewer's own rectangle or brush on the image shown; null where nothing. */
  drawn(): PlaceIn | null;
  /** Put one of the viewer's tools into the reader's hand, for a place of the report or for a new one; null takes it back. */
  draw(tool: DrawingTool | null, place: Place | null): Promise<void>;
  /** A place as the reader left it after using the viewer's own tools on its box or mask; rejects, in words, where nothing was changed. */
  edited(place: Place): Promise<PlaceIn>;
  /** Take what the reader drew from the screen. */
  clearDrawn(): void;
  /** Draw an answer that nobody has kept yet, in a colour of its own. */
  showDraft(places: readonly Drawn[]): Promise<void>;
  clearDraft(): void;
  /** The next click (point, minus) or drag (box) on an image; null where Escape was pressed instead. */
  pick(kind: 'point' | 'minus'): Promise<PointOnSlice | null>;
  pick(kind: 'box'): Promise<BoxOnSlice | null>;
  /** A series in words ("CT thorax") and how many slices it has; null where the viewer does not know it. */
  describe(seriesUid: string): { words: string; slices: number } | null;
  /** What the active viewport shows. */
  here(): { series_uid: string; slice: number } | null;
  /** The newest prior of the same modality beside the images, or away again; returns whether there was one to show. */
  togglePrior(studyUid: string): Promise<boolean>;
}
