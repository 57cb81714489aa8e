/** The panel, as OHIF asks for it: our own React inside an element that OHIF's React mounts. */

import { createRoot, type Root } from 'react-dom/client';

import { element } from './element';
import { PANEL_NAME } from './id';
import type { Host } from './ohif';
import { FindingsPanel } from './panels/FindingsPanel';
import type { Keys } from './services/keys';
import type { Places } from './services/places';

export function getPanelModule(host: Host, places: Places, keys: Keys) {
  const roots = new Map<HTMLElement, Root>();

  function mount(place: HTMLElement | null): void {
    for (const [old, root] of roots) {
      if (!old.isConnected) {
        roots.delete(old);
        root.unmount();
      }
    }
    if (place && !roots.has(place)) {
      const root = createRoot(place);
      roots.set(place, root);
      root.render(<FindingsPanel host={host} places={places} keys={keys} />);
    }
  }

  // OHIF's side panel is a column: what may not shrink in it grows out of the window.
  const component = () => element(mount, { style: { height: '100%', minHeight: 0 } });

  return [{ name: PANEL_NAME, iconName: 'tab-patient-info', iconLabel: 'AI', label: 'AI findings', component }];
}
