/**
 * Shows our results without being asked: boxes and masks appear on an image as soon as a viewport shows it, and the first
 * image shown opens where a finding is. What is no longer in force is taken away; what the reader hides or closes stays hidden.
 */

import { PANEL_ID } from '../id';
import type { DisplaySet, Host, Subscription, Viewport } from '../ohif';
import { middleOf, type Boxes } from './boxes';
import { Hand } from './hand';
import { isImage, toSlice, type Images } from './images';
import type { Masks } from './masks';
import { askForReport, type Answer } from './reports';
import { isStructure, newestResults, type Result } from './results';

/** How long OHIF may take to make a tab of a panel that is added; it opens none that it has not. */
const TAB_MS = 500;

export class Showing {
  private readonly subscriptions: Subscription[];
  private readonly drawn = new Set<string>();
  private readonly opened = new Set<string>();
  private readonly asked = new Map<string, Promise<Answer>>();
  private readonly hand = new Hand();
  private hasComplained = false;
  private working: Promise<void> = Promise.resolve();

  constructor(
    private readonly host: Host,
    private readonly images: Images,
    private readonly boxes: Boxes,
    private readonly masks: Masks
  ) {
    const { displaySetService, cornerstoneViewportService } = this.services;
    const look = () => void this.look();
    this.hand.start();
    this.subscriptions = [
      displaySetService.subscribe(displaySetService.EVENTS.DISPLAY_SETS_ADDED, look),
      cornerstoneViewportService.subscribe(cornerstoneViewportService.EVENTS.VIEWPORT_DATA_CHANGED, look),
      { unsubscribe: images.onDrawn((_, added) => added.some(isImage) && look()) },
    ];
  }

  stop(): void {
    this.subscriptions.forEach(subscription => subscription.unsubscribe());
    this.hand.stop();
  }

  /** Another version of a study's report may be in force: get what the archive has now, and draw that. */
  async refresh(studyUid: string): Promise<void> {
    const [source] = this.host.extensionManager.getActiveDataSource();
    if (source) {
      const series = await source.query.series.search(studyUid);
      const seriesInstanceUID = series.filter(each => ['SR', 'SEG'].includes(each.modality)).map(each => each.seriesInstanceUid);
      if (seriesInstanceUID.length > 0) {
        // OHIF keeps what it once asked a study for; whoever asks after us must get the whole study again. 3.13 keeps it by
        // the name of the source and the study, and forgets it by what it is given.
        const forget = () => [studyUid, `${source.getConfig?.().name}:${studyUid}`].forEach(key => source.deleteStudyMetadataPromise?.(key));
        forget();
        await source.retrieve.series.metadata({ StudyInstanceUID: studyUid, filters: { seriesInstanceUID } });
        forget();
      }
    }
    this.asked.clear();
    await this.look();
  }

  /** OHIF announces many small changes; each is looked at in turn, after the one before it is dealt with. */
  private look(): Promise<void> {
    this.working = this.working.then(() => this.show()).catch(error => this.complain(error));
    return this.working;
  }

  private async show(): Promise<void> {
    if (this.shown().length > 0) {
      this.openPanel();
    }
    const results = await this.inForce(newestResults(this.services.displaySetService.getActiveDisplaySets()));
    await this.hand.free();
    this.takeAway(results);
    for (const { viewport, image } of this.shown()) {
      const result = results.find(each => each.report.StudyInstanceUID === image.StudyInstanceUID);
      if (result) {
        await this.drawBoxes(result.report).catch(error => this.complain(error));
        await this.layMasks(result.segmentations, viewport, image).catch(error => this.complain(error));
        await this.goToFinding(viewport, image);
      }
    }
  }

  /** Viewports that show images, with the images. */
  private shown(): { viewport: Viewport; image: DisplaySet }[] {
    return [...this.services.viewportGridService.getState().viewports.values()].flatMap(viewport => {
      const image = this.images.shownIn(viewport.viewportId);
      return image ? [{ viewport, image }] : [];
    });
  }

  /** What was taken back is not drawn, although the archive still has it. Where Sightline is away, the newest is. */
  private async inForce(results: readonly Result[]): Promise<Result[]> {
    const answers = await Promise.all(
      results.map(({ report }) => {
        const uid = report.instance?.SOPInstanceUID ?? '';
        if (!this.asked.has(uid)) {
          this.asked.set(uid, askForReport(report.StudyInstanceUID));
        }
        return this.asked.get(uid)!;
      })
    );
    answers.forEach(answer => answer.kind === 'known' && answer.study.report && this.boxes.know(answer.study.report));
    return results.filter((result, index) => {
      const answer = answers[index]!;
      return answer.kind !== 'known' || answer.study.report?.document_uid === result.report.instance?.SOPInstanceUID;
    });
  }

  /** OHIF closes the panels of a mode when it enters it, and a mode may not have been told of ours. */
  private openPanel(): void {
    if (this.opened.has(PANEL_ID)) {
      return;
    }
    this.opened.add(PANEL_ID);
    const { panelService } = this.services;
    const open = () => panelService.activatePanel(PANEL_ID, true);
    if (panelService.getPanels(panelService.PanelPosition.Right).some(each => each.id === PANEL_ID)) {
      open();
    } else {
      panelService.addPanel(panelService.PanelPosition.Right, PANEL_ID);
      setTimeout(open, TAB_MS);
    }
  }

  private takeAway(results: readonly Result[]): void {
    const documentUids = new Set(results.map(({ report }) => report.instance?.SOPInstanceUID ?? ''));
    this.boxes.keep(documentUids);
    this.masks.keep(results.flatMap(each => each.segmentations));
    this.drawn.forEach(uid => documentUids.has(uid) || this.drawn.delete(uid));
  }

  private async drawBoxes(report: DisplaySet): Promise<void> {
    const uid = report.instance?.SOPInstanceUID ?? '';
    if (!this.drawn.has(uid)) {
      this.drawn.add(uid);
      if (!(await this.boxes.draw(report))) {
        this.drawn.delete(uid);
      }
    }
  }

  /** Cornerstone looks once whether an image has a mask, and for one that is not drawn yet it says no for good. */
  private async layMasks(segmentations: readonly DisplaySet[], { viewportId }: Viewport, image: DisplaySet): Promise<void> {
    if (!this.images.isDrawn(viewportId, image)) {
      return;
    }
    for (const segmentation of segmentations) {
      const [source] = this.services.displaySetService.getDisplaySetsForReferences(segmentation.instance?.ReferencedSeriesSequence ?? []);
      if (source?.displaySetInstanceUID === image.displaySetInstanceUID) {
        // OHIF takes any image of the series for the source where the SEG arrives first.
        segmentation.referencedDisplaySetInstanceUID = image.displaySetInstanceUID;
        await this.masks.lay(segmentation, viewportId);
        this.boxes.paint();
      }
    }
  }

  /** An image that is shown for the first time opens where a finding is, or else where a structure is. */
  private async goToFinding({ viewportId }: Viewport, image: DisplaySet): Promise<void> {
    if (this.opened.has(image.displaySetInstanceUID)) {
      return;
    }
    const imageIds = new Set(this.images.imageIdsOf(image));
    const mine = this.boxes.all.filter(each => imageIds.has(each.metadata?.referencedImageId ?? ''));
    const box = mine.find(each => !isStructure(each.data)) ?? mine[0];
    const canvas = this.images.canvas(viewportId);
    if (box && canvas) {
      this.opened.add(image.displaySetInstanceUID);
      await toSlice(canvas, box.metadata!.referencedImageId!, middleOf(box.data.handles.points));
    }
  }

  private get services() {
    return this.host.servicesManager.services;
  }

  private complain(error: unknown): void {
    console.error('Sightline', error);
    if (this.hasComplained) {
      return;
    }
    this.hasComplained = true;
    this.services.uiNotificationService.show({
      title: 'Sightline',
      message: 'The AI results of this study could not be drawn; the panel has the sentences.',
      type: 'warning',
    });
  }
}
