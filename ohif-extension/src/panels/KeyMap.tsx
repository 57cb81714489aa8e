/** Which key does what. */

import { KEYS } from '../services/keys';
import type { Seat } from '../services/seat';
import { useFocus } from './useFocus';

export function KeyMap({ seat }: { seat: Seat }) {
  const close = useFocus<HTMLButtonElement>();
  return (
    <section className="sightline-form" aria-label="Keyboard map">
      <h3>
        Keys
        <button ref={close} type="button" className="sightline-small" onClick={() => seat.open(null)}>
          Close
        </button>
      </h3>
      <dl className="sightline-keys">
        {KEYS.map(({ command, keys, label }) => (
          <div key={command}>
            <dt>
              <kbd>{keys.replace('shift', 'Shift').replace(/(^|\+)[a-z]$/, key => key.toUpperCase())}</kbd>
            </dt>
            <dd>{label}</dd>
          </div>
        ))}
        <div>
          <dt>
            <kbd>Esc</kbd>
          </dt>
          <dd>Close what is open, stop playing</dd>
        </div>
      </dl>
    </section>
  );
}
