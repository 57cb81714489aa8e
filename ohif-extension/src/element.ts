/** What OHIF's React, which is not reachable from here, would make of createElement (React 18): an element that we fill ourselves. */
export function element(ref: (element: HTMLElement | null) => void, props: object = {}): object {
  return { $$typeof: Symbol.for('react.element'), type: 'div', key: null, ref, props, _owner: null };
}
