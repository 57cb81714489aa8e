/** The panel, as OHIF asks for it: our own React inside an element that OHIF's React mounts. */

import { createRoot, type Root } from 'react-dom/client';

import { PANEL_NAME } from './id';
import type { Host } from './ohif';
import { FindingsPanel } from './panels/FindingsPanel';

export function getPanelModule(host: Host) {
  const roots = new Map<HTMLElement, Root>();

  function mount(element: HTMLElement | null): void {
    for (const [old, root] of roots) {
      if (!old.isConnected) {
        roots.delete(old);
        root.unmount();
      }
    }
    if (element && !roots.has(element)) {
      const root = createRoot(element);
      roots.set(element, root);
      root.render(<FindingsPanel host={host} />);
    }
  }

  // OHIF's React is not reachable from here; this is what its createElement would return (React 18).
  const component = () => ({
    $$typeof: Symbol.for('react.element'),
    type: 'div',
    key: null,
    ref: mount,
    props: { style: { height: '100%' } },
    _owner: null,
  });

  return [{ name: PANEL_NAME, iconName: 'tab-patient-info', iconLabel: 'AI', label: 'AI findings', component }];
}
