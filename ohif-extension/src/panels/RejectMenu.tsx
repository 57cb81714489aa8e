/** Why something is rejected: one key, 1 to 5. */

import { useRef, type KeyboardEvent } from 'react';

import { REASONS, type Reason } from '../services/verdicts';
import { useFocus } from './useFocus';

interface Props {
  title: string;
  onChoose(reason: Reason): void;
  onCancel(): void;
}

export function RejectMenu({ title, onChoose, onCancel }: Props) {
  const menu = useRef<HTMLDivElement>(null);
  const first = useFocus<HTMLButtonElement>();

  const press = (event: KeyboardEvent) => {
    const reason = REASONS[Number(event.key) - 1];
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (event.key === 'Escape') {
      onCancel();
    } else if (reason) {
      onChoose(reason);
    } else if (step) {
      const buttons = [...menu.current!.querySelectorAll('button')];
      buttons[(buttons.indexOf(document.activeElement as HTMLButtonElement) + step + buttons.length) % buttons.length]!.focus();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div ref={menu} className="sightline-menu" role="group" aria-label={title} onKeyDown={press}>
      <span className="sightline-quiet">{title}</span>
      {REASONS.map((reason, index) => (
        <button key={reason} ref={index === 0 ? first : null} type="button" onClick={() => onChoose(reason)}>
          <kbd>{index + 1}</kbd> {reason}
        </button>
      ))}
      <button type="button" onClick={onCancel}>
        Cancel
      </button>
    </div>
  );
}
