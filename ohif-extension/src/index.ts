/** Sightline in OHIF: shows our SR and SEG when a study opens, and lists the report's sentences beside it. */

import { getCommandsModule } from './getCommandsModule';
import { getPanelModule } from './getPanelModule';
import { EXTENSION_ID } from './id';
import type { Host } from './ohif';
import { prepareBoxes } from './services/boxes';
import { Keys, withOurs } from './services/keys';
import { Viewer } from './services/viewer';
import { Worklist } from './services/worklist';

const keys = new Keys();
const worklist = new Worklist();
let viewer: Viewer | undefined;

/** One for the life of the page, as OHIF's services are. */
function viewerOf(host: Host): Viewer {
  viewer ??= new Viewer(host);
  return viewer;
}

export default {
  id: EXTENSION_ID,
  getPanelModule: (host: Host) => getPanelModule(host, viewerOf(host), keys),
  getCommandsModule: () => getCommandsModule(keys),
  getCustomizationModule: () => [
    {
      name: 'default',
      value: { onBeforeSRHydration: { value: prepareBoxes(imageId => window.cornerstone.metaData.get('imagePlaneModule', imageId)) } },
    },
    { name: 'global', value: { 'workList.columns': { $apply: worklist.withColumn } } },
  ],

  onModeEnter(host: Host): void {
    host.servicesManager.services.customizationService.setCustomizations({ 'ohif.hotkeyBindings': { $apply: withOurs } });
    viewerOf(host).start();
  },

  onModeExit(): void {
    viewer?.stop();
  },
};
