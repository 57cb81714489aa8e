/** Sightline in OHIF: shows our SR and SEG when a study opens, and lists the report's sentences beside it. */

import { getCommandsModule } from './getCommandsModule';
import { getPanelModule } from './getPanelModule';
import { EXTENSION_ID } from './id';
import type { Host, Registration } from './ohif';
import { askOfOthersOnly, prepareBoxes, type Ask } from './services/boxes';
import { Keys, withOurs } from './services/keys';
import { Seat } from './services/seat';
import { Viewer } from './services/viewer';
import { Worklist } from './services/worklist';

const keys = new Keys();
const worklist = new Worklist();
const seats = new Map<string, Seat>();
let viewer: Viewer | undefined;

/** One for the life of the page, as OHIF's services are. */
function viewerOf(host: Host): Viewer {
  viewer ??= new Viewer(host);
  return viewer;
}

function seatOf(host: Host, studyUid: string): Seat {
  const seat = seats.get(studyUid) ?? new Seat(studyUid, viewerOf(host));
  seats.set(studyUid, seat);
  return seat;
}

export default {
  id: EXTENSION_ID,

  /** OHIF would ask, for every series with a box of ours, whether to track it as a measurement of the reader's. */
  preRegistration({ appConfig }: Registration): void {
    if (typeof window.config === 'object' && !window.config.measurementTrackingMode) {
      appConfig.measurementTrackingMode = 'simplified';
    }
  },

  getPanelModule: (host: Host) => getPanelModule(host, studyUid => seatOf(host, studyUid), keys),
  getCommandsModule: () => getCommandsModule(keys),
  getCustomizationModule: () => [
    {
      name: 'default',
      value: { onBeforeSRHydration: { value: prepareBoxes(imageId => window.cornerstone.metaData.get('imagePlaneModule', imageId)) } },
    },
    { name: 'global', value: { 'workList.columns': { $apply: worklist.withColumn } } },
  ],

  onModeEnter(host: Host): void {
    host.servicesManager.services.customizationService.setCustomizations({
      'ohif.hotkeyBindings': { $apply: withOurs },
      'measurement.promptTrackNewStudy': { $apply: (ask: Ask) => askOfOthersOnly(host, ask) },
    });
    viewerOf(host).start();
  },

  onModeExit(): void {
    viewer?.stop();
    seats.clear();
  },
};
