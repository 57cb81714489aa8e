/** Sightline in OHIF: shows our SR and SEG when a study opens, and lists the report's sentences beside it. */

import { getPanelModule } from './getPanelModule';
import { EXTENSION_ID } from './id';
import type { Host } from './ohif';
import { prepareBoxes } from './services/boxes';
import { Showing } from './services/showing';

let showing: Showing | undefined;

export default {
  id: EXTENSION_ID,
  getPanelModule,
  getCustomizationModule: () => [
    {
      name: 'default',
      value: { onBeforeSRHydration: { value: prepareBoxes(imageId => window.cornerstone.metaData.get('imagePlaneModule', imageId)) } },
    },
  ],

  onModeEnter(host: Host): void {
    showing = new Showing(host);
  },

  onModeExit(): void {
    showing?.stop();
    showing = undefined;
  },
};
