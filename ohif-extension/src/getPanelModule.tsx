/** The panel, as OHIF asks for it: our own React inside an element that OHIF's React mounts. */

import { createRoot, type Root } from 'react-dom/client';

import { element } from './element';
import { PANEL_NAME } from './id';
import type { Host } from './ohif';
import { FindingsPanel, type SeatOf } from './panels/FindingsPanel';
import type { Keys } from './services/keys';

export function getPanelModule(host: Host, seatOf: SeatOf, keys: Keys) {
  const roots = new Map<HTMLElement, Root>();

  function mount(place: HTMLElement | null): void {
    queueMicrotask(sweep); // OHIF's React says that an element goes before it is gone
    if (place && !roots.has(place)) {
      const root = createRoot(place);
      roots.set(place, root);
      root.render(<FindingsPanel host={host} seatOf={seatOf} keys={keys} />);
    }
  }

  /** What is behind another tab hears no keys. */
  function sweep(): void {
    for (const [place, root] of roots) {
      if (!place.isConnected) {
        roots.delete(place);
        root.unmount();
      }
    }
  }

  // OHIF's side panel is a column: what may not shrink in it grows out of the window.
  const component = () => element(mount, { style: { height: '100%', minHeight: 0 } });

  return [{ name: PANEL_NAME, iconName: 'tab-patient-info', iconLabel: 'AI', label: 'AI findings', component }];
}
