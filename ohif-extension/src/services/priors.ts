/** The newest earlier study of the patient beside the images. */

import type { Host } from '../ohif';
import type { components } from '../types';
import { call, ofStudy } from './api';

type Prior = components['schemas']['Prior'];

const OF_IMAGES = new Set(['CT', 'MR', 'CR', 'DX']);

export class Priors {
  private isBeside = false;

  constructor(private readonly host: Host) {}

  /** Show it in a second viewport, or go back to one viewport; returns whether there is one to show. */
  async toggle(studyUid: string): Promise<boolean> {
    if (this.isBeside) {
      this.isBeside = false;
      this.layOut(1);
      return true;
    }
    const current = this.displaySetsOf(studyUid);
    const modalities = new Set(current.map(each => each.Modality));
    const reply = await call<Prior[]>(ofStudy(studyUid, '/priors'));
    const prior = reply.kind === 'ok' ? newestOf(reply.body, modalities) : null;
    if (!prior) {
      return false;
    }
    if (this.displaySetsOf(prior.study_uid).length === 0) {
      const [source] = this.host.extensionManager.getActiveDataSource();
      await source?.retrieve.series.metadata({ StudyInstanceUID: prior.study_uid });
    }
    const displaySet = this.displaySetsOf(prior.study_uid).find(each => modalities.has(each.Modality));
    if (!displaySet) {
      return false;
    }
    const { viewportGridService, hangingProtocolService } = this.host.servicesManager.services;
    const known = new Set(viewportGridService.getState().viewports.keys());
    const second = await this.untilLaidOut(2, known);
    const viewportsToUpdate = hangingProtocolService.getViewportsRequireUpdate(second, displaySet.displaySetInstanceUID);
    this.host.commandsManager.runCommand('setDisplaySetsForViewports', { viewportsToUpdate });
    this.isBeside = true;
    return true;
  }

  private displaySetsOf(studyUid: string) {
    return this.host.servicesManager.services.displaySetService
      .getActiveDisplaySets()
      .filter(each => each.StudyInstanceUID === studyUid && !each.isDerivedDisplaySet && OF_IMAGES.has(each.Modality));
  }

  private layOut(columns: number): void {
    this.host.commandsManager.runCommand('setViewportGridLayout', { numRows: 1, numCols: columns });
  }

  /** The viewport that a wider layout adds. */
  private untilLaidOut(columns: number, known: ReadonlySet<string>): Promise<string> {
    const { viewportGridService } = this.host.servicesManager.services;
    return new Promise(resolve => {
      const subscription = viewportGridService.subscribe(viewportGridService.EVENTS.GRID_STATE_CHANGED, () => {
        const second = [...viewportGridService.getState().viewports.keys()].find(each => !known.has(each));
        if (second) {
          subscription.unsubscribe();
          resolve(second);
        }
      });
      this.layOut(columns);
    });
  }
}

/** The newest study with images of the same kind. */
export function newestOf(priors: readonly Prior[], modalities: ReadonlySet<string>): Prior | null {
  return priors.find(each => each.modalities.some(modality => modalities.has(modality))) ?? null;
}
