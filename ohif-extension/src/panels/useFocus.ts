/** A form takes the focus when it opens, and gives it back when it closes. */

import { useEffect, useRef, type RefObject } from 'react';

/** For the element that should have the focus first. What had it before may be gone with its row's buttons: then the row gets it. */
export function useFocus<Kind extends HTMLElement>(): RefObject<Kind> {
  const first = useRef<Kind>(null);
  useEffect(() => {
    const before = document.activeElement;
    const row = first.current?.closest('.sightline-finding')?.querySelector<HTMLElement>('.sightline-sentence');
    first.current?.focus();
    first.current?.closest('form, .sightline-menu')?.scrollIntoView?.({ block: 'nearest' }); // with its buttons
    return () => {
      const target = before instanceof HTMLElement && before.isConnected ? before : row;
      if (target?.isConnected) {
        target.focus();
      }
    };
  }, []);
  return first;
}
