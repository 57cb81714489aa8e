/** Places on the screen: what the panel asks of the images, done with OHIF's viewports, annotations and segmentations. */

import type { Host } from '../ohif';
import { Boxes } from './boxes';
import { Drafts } from './drafts';
import { Editing } from './editing';
import { Images } from './images';
import { Masks } from './masks';
import { drawInOnePass } from './onepass';
import { Outlines } from './outlines';
import { Picking } from './picking';
import type { BoxOnSlice, DrawingTool, Drawn, Place, PlaceIn, Places, PointOnSlice } from './places';
import { Priors } from './priors';
import { Showing } from './showing';

export class Viewer implements Places {
  private readonly images: Images;
  private readonly masks: Masks;
  private readonly boxes: Boxes;
  private readonly outlines: Outlines;
  private readonly drafts: Drafts;
  private readonly editing: Editing;
  private readonly picking: Picking;
  private readonly priors: Priors;
  private showing: Showing | null = null;
  private stopDrawing: () => void = () => undefined;
  private readonly heard = new Set<(trackingUid: string | null) => void>();
  private selected: string | null = null;
  private areOverlaysOn = true;

  constructor(private readonly host: Host) {
    this.images = new Images(host);
    this.masks = new Masks(host, this.images);
    this.boxes = new Boxes(host, this.images, uid => this.masks.colourOf(uid));
    this.outlines = new Outlines(this.images);
    this.drafts = new Drafts(host, this.images, this.outlines);
    this.editing = new Editing(host, this.images, this.boxes, this.masks);
    this.picking = new Picking(this.images);
    this.priors = new Priors(host);
  }

  /** A mode was entered: results appear from now on by themselves. */
  start(): void {
    this.stopDrawing = drawInOnePass(this.images, uid => this.masks.isMask(uid));
    this.showing = new Showing(this.host, this.images, this.boxes, this.masks);
    document.addEventListener(window.cornerstoneTools.Enums.Events.MOUSE_CLICK, this.clicked, true); // these events do not bubble
  }

  stop(): void {
    document.removeEventListener(window.cornerstoneTools.Enums.Events.MOUSE_CLICK, this.clicked, true);
    this.picking.cancel();
    this.drafts.clear();
    this.editing.clear();
    this.masks.keep([]);
    this.stopDrawing();
    this.showing?.stop();
    this.showing = null;
    this.areOverlaysOn = true;
  }

  async goTo(place: Pick<Place, 'series_uid' | 'instance_uid' | 'start' | 'stop' | 'tracking_uid'>, colour: string): Promise<void> {
    const middle = { row: (place.start[1] + place.stop[1] - 1) / 2, column: (place.start[2] + place.stop[2] - 1) / 2 };
    this.select(place.tracking_uid || null);
    await this.tell(async () => {
      await this.images.show(place.series_uid, this.images.keySlice(place), middle);
      this.outlines.set(place.tracking_uid ? [] : [{ ...place, colour }]);
    });
  }

  preview(place: Pick<Place, 'tracking_uid'> | null): void {
    this.light(place?.tracking_uid ?? this.selected);
  }

  select(trackingUid: string | null): void {
    this.selected = trackingUid;
    this.light(trackingUid);
  }

  onSelected(heard: (trackingUid: string | null) => void): () => void {
    this.heard.add(heard);
    return () => this.heard.delete(heard);
  }

  toggleOverlays(): boolean {
    this.areOverlaysOn = !this.areOverlaysOn;
    this.masks.show(this.areOverlaysOn);
    this.boxes.show(this.areOverlaysOn);
    return this.areOverlaysOn;
  }

  async refresh(studyUid: string): Promise<void> {
    await this.tell(async () => this.showing?.refresh(studyUid));
    this.light(this.selected);
  }

  drawn(): PlaceIn | null {
    return this.editing.drawn();
  }

  async draw(tool: DrawingTool | null, place: Place | null): Promise<void> {
    if (place && tool) {
      await this.goTo(place, '');
    }
    await this.tell(() => this.editing.draw(tool, place));
  }

  async edited(place: Place): Promise<PlaceIn> {
    return this.editing.edited(place);
  }

  clearDrawn(): void {
    this.editing.clear();
  }

  showDraft(places: readonly Drawn[]): Promise<void> {
    return this.tell(() => this.drafts.show(places));
  }

  clearDraft(): void {
    this.drafts.clear();
  }

  pick(kind: 'point' | 'minus'): Promise<PointOnSlice | null>;
  pick(kind: 'box'): Promise<BoxOnSlice | null>;
  async pick(kind: 'point' | 'minus' | 'box'): Promise<PointOnSlice | BoxOnSlice | null> {
    const picked = await this.picking.pick(kind === 'box');
    if (!picked) {
      return null;
    }
    const { seriesUid: series_uid, slice, row, column } = picked.from;
    if (kind !== 'box') {
      return { series_uid, slice, row, column };
    }
    const [top, bottom] = [row, picked.to.row].sort((a, b) => a - b) as [number, number];
    const [left, right] = [column, picked.to.column].sort((a, b) => a - b) as [number, number];
    return { series_uid, slice, top, left, bottom: bottom + 1, right: right + 1 };
  }

  describe(seriesUid: string): { words: string; slices: number } | null {
    const [displaySet] = this.images.displaySetsOf(seriesUid);
    const words = [displaySet?.Modality, displaySet?.SeriesDescription].filter(Boolean).join(' ');
    return displaySet ? { words, slices: this.images.slicesOf(seriesUid).length } : null;
  }

  here(): { series_uid: string; slice: number } | null {
    const canvas = this.images.activeCanvas;
    const here = canvas && this.images.here(canvas);
    return here && { series_uid: here.seriesUid, slice: here.slice };
  }

  togglePrior(studyUid: string): Promise<boolean> {
    return this.priors.toggle(studyUid);
  }

  /** What cannot be shown is told to the reader, who did nothing wrong. */
  private async tell(work: () => Promise<void> | undefined): Promise<void> {
    try {
      await work();
    } catch (error) {
      console.warn('Sightline', error);
      const message = error instanceof Error ? error.message : 'The place cannot be shown.';
      this.host.servicesManager.services.uiNotificationService.show({ title: 'Sightline', message, type: 'warning' });
    }
  }

  private light(trackingUid: string | null): void {
    this.masks.light(trackingUid);
    this.boxes.light(trackingUid);
  }

  /** A click on a box or on a pixel of a mask; of several places the smallest is meant. */
  private readonly clicked = (event: Event): void => {
    const canvas = event.target instanceof HTMLElement && window.cornerstone.getEnabledElement(event.target)?.viewport;
    const place = (event as CustomEvent<{ currentPoints: { canvas: [number, number] } }>).detail.currentPoints.canvas;
    const spot = canvas && this.areOverlaysOn ? this.images.spotAt(canvas, ...place) : null;
    const hit = spot && (this.boxes.at(spot) ?? this.masks.at(spot));
    if (hit) {
      this.select(hit);
      this.heard.forEach(heard => heard(hit));
    }
  };
}
