/** What happened to the reader's verdicts: stored and can be undone, or not stored and waiting. */

import { spoken } from '../services/reader';
import type { Waiting } from '../services/judging';
import type { Seat } from '../services/seat';
import { useStore } from '../services/store';

export function Notices({ seat }: { seat: Seat }) {
  const { queue, said, done } = useStore(seat.judging);
  const { said: hint } = useStore(seat);
  const held = queue.filter(each => each.held);
  const last = done.at(-1);
  return (
    <div className="sightline-notices">
      {held.length > 0 && (
        <div className="sightline-status sightline-alert" role="alert">
          <p>{whyHeld(held[0]!)}</p>
          <ul>
            {held.map(({ id, words }) => (
              <li key={id}>
                Not stored: {words}
                <button type="button" className="sightline-small" aria-label={`Drop: ${words}`} onClick={() => seat.judging.drop(id)}>
                  Drop
                </button>
              </li>
            ))}
          </ul>
          <button type="button" onClick={() => void seat.judging.again()}>
            Send again
          </button>
        </div>
      )}
      <div role="status" className="sightline-toast">
        {hint || said}
        {!hint && last && said.endsWith(last.words) && (
          <button type="button" className="sightline-small" onClick={() => seat.undo()}>
            Undo (U)
          </button>
        )}
      </div>
    </div>
  );
}

function whyHeld({ held }: Waiting): string {
  switch (held?.kind) {
    case 'overtaken': {
      const time = held.moment ? ` at ${new Date(held.moment).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })}` : '';
      const who = held.name ? `${spoken(held.name)} changed this report${time}` : `A newer reading took this report's place${time}`;
      return `${who}. Here is the report now; nothing was overwritten.`;
    }
    case 'refused':
      return held.why;
    default:
      return `${held?.why ?? ''} Nothing is lost: send it again, or drop it.`;
  }
}
