/**
 * Shows our results without being asked: boxes and masks appear on an image as soon as a viewport shows it, and the first
 * image shown opens where a finding is. What the reader then hides or closes stays hidden.
 */

import { PANEL_ID } from '../id';
import type { DisplaySet, Host, Subscription, Viewport } from '../ohif';
import { captionBoxes } from './boxes';
import { askForReport, type Answer } from './reports';
import { isStructure, newestResults } from './results';

export class Showing {
  private readonly subscriptions: Subscription[];
  private readonly hydrated = new Set<string>();
  private readonly laid = new Set<string>();
  private readonly opened = new Set<string>();
  private readonly asked = new Map<string, Promise<Answer>>();
  private hasComplained = false;
  private working: Promise<void> = Promise.resolve();

  constructor(private readonly host: Host) {
    const { displaySetService, cornerstoneViewportService } = this.services;
    const look = () => this.look();
    this.subscriptions = [
      displaySetService.subscribe(displaySetService.EVENTS.DISPLAY_SETS_ADDED, look),
      cornerstoneViewportService.subscribe(cornerstoneViewportService.EVENTS.VIEWPORT_DATA_CHANGED, look),
    ];
  }

  stop(): void {
    this.subscriptions.forEach(subscription => subscription.unsubscribe());
  }

  /** OHIF announces many small changes; each is looked at in turn, after the one before it is dealt with. */
  private look(): void {
    this.working = this.working.then(() => this.show()).catch(error => this.complain(error));
  }

  private async show(): Promise<void> {
    const displaySets = this.services.displaySetService.getActiveDisplaySets();
    for (const viewport of this.services.viewportGridService.getState().viewports.values()) {
      const image = displaySets.find(each => !each.isDerivedDisplaySet && viewport.displaySetInstanceUIDs.includes(each.displaySetInstanceUID));
      const result = image && newestResults(displaySets).find(each => each.report.StudyInstanceUID === image.StudyInstanceUID);
      if (!image) {
        continue;
      }
      this.openPanel();
      if (result && (await this.isInForce(result.report))) {
        await this.drawBoxes(result.report).catch(error => this.complain(error));
        const isLaying = this.layMasks(result.segmentations, viewport, image);
        if (!isLaying) {
          this.goToFinding(viewport, image); // a layer that is added later would set the viewport back
        }
      }
    }
  }

  /** What was taken back is not drawn, although the archive still has it. Where Sightline is away, the newest is. */
  private async isInForce(report: DisplaySet): Promise<boolean> {
    const uid = report.instance?.SOPInstanceUID ?? '';
    if (!this.asked.has(uid)) {
      this.asked.set(uid, askForReport(report.StudyInstanceUID, new AbortController().signal));
    }
    const answer = await this.asked.get(uid)!;
    return answer.kind !== 'known' || answer.study.report?.document_uid === uid;
  }

  /** OHIF closes the panels of a mode when it enters it. */
  private openPanel(): void {
    if (!this.opened.has(PANEL_ID)) {
      this.opened.add(PANEL_ID);
      this.services.panelService.activatePanel(PANEL_ID, true);
    }
  }

  /** Every image that a box is on must be known before OHIF can draw the report. */
  private async drawBoxes(report: DisplaySet): Promise<void> {
    if (this.hydrated.has(report.displaySetInstanceUID)) {
      return;
    }
    await report.load?.({});
    if (report.measurements?.length && report.measurements.every(measurement => measurement.loaded)) {
      this.hydrated.add(report.displaySetInstanceUID);
      captionBoxes(this.host);
      this.host.commandsManager.runCommand('hydrateStructuredReport', { displaySetInstanceUID: report.displaySetInstanceUID });
    }
  }

  /** Add the masks of this image to its viewport, once; returns whether one is on its way. */
  private layMasks(segmentations: readonly DisplaySet[], { viewportId, displaySetInstanceUIDs }: Viewport, image: DisplaySet): boolean {
    let isLaying = false;
    for (const segmentation of segmentations) {
      const uid = segmentation.displaySetInstanceUID;
      const [source] = this.services.displaySetService.getDisplaySetsForReferences(segmentation.instance?.ReferencedSeriesSequence ?? []);
      if (source?.displaySetInstanceUID !== image.displaySetInstanceUID || this.laid.has(`${viewportId} ${uid}`)) {
        continue;
      }
      this.laid.add(`${viewportId} ${uid}`);
      if (!displaySetInstanceUIDs.includes(uid)) {
        // OHIF takes any image of the series for the source where the SEG arrives first.
        segmentation.referencedDisplaySetInstanceUID = image.displaySetInstanceUID;
        this.host.commandsManager.runCommand('addDisplaySetAsLayer', { viewportId, displaySetInstanceUID: uid });
        isLaying = true;
      }
    }
    return isLaying;
  }

  private goToFinding({ viewportId }: Viewport, { displaySetInstanceUID }: DisplaySet): void {
    const { measurementService } = this.services;
    const boxes = measurementService.getMeasurements().filter(each => each.displaySetInstanceUID === displaySetInstanceUID);
    const finding = boxes.find(each => !isStructure(each)) ?? boxes[0];
    if (finding && !this.opened.has(displaySetInstanceUID)) {
      this.opened.add(displaySetInstanceUID);
      measurementService.jumpToMeasurement(viewportId, finding.uid);
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
