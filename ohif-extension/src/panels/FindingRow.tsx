/** One finding: its sentence and places, what was decided, and, while it is lit, what can be decided. */

import { memo, useEffect, useLayoutEffect, useRef, type KeyboardEvent } from 'react';

import { inWords } from '../services/findings';
import type { Waiting } from '../services/judging';
import { spoken } from '../services/reader';
import type { Report, Statement } from '../services/reports';
import type { Form, Seat } from '../services/seat';
import { Details } from './Details';
import { EditForm } from './EditForm';
import { RejectMenu } from './RejectMenu';

interface Props {
  statement: Statement;
  isCurrent: boolean;
  /** Whether Tab stops here: one row of the list, the others are reached with the arrow keys. */
  isTabbed: boolean;
  /** Which form is open in it. */
  form: Form | null;
  /** A verdict on it that is not stored yet. */
  waiting: Waiting | undefined;
  report: Report;
  seat: Seat;
}

/** Many findings may be listed: each is made anew only where something of its own has changed. */
export const FindingRow = memo(function FindingRow({ statement, isCurrent, isTabbed, form, waiting, report, seat }: Props) {
  const button = useRef<HTMLButtonElement>(null);
  const { number, sentence, presence, side, confidence, colour, places, flags } = statement;

  useEffect(() => {
    if (isCurrent) {
      button.current?.scrollIntoView?.({ block: 'nearest' });
      if (button.current?.closest('.sightline-column')?.contains(document.activeElement)) {
        button.current.focus();
      }
    }
  }, [isCurrent]);

  useLayoutEffect(() => {
    const own = button.current;
    return () => {
      if (own && own === document.activeElement) {
        neighbour(own)?.focus(); // the sentence was rejected
      }
    };
  }, []);

  return (
    <li
      className={[
        'sightline-finding',
        isCurrent && 'sightline-current',
        !report.verified_by && 'sightline-unsigned',
        waiting && 'sightline-waiting',
      ]
        .filter(Boolean)
        .join(' ')}
      style={{ borderLeftColor: colour }}
      onPointerEnter={() => places[0] && seat.places.preview(places[0])}
      onPointerLeave={() => seat.places.preview(null)}
    >
      <button
        ref={button}
        type="button"
        className="sightline-sentence"
        tabIndex={isTabbed ? 0 : -1}
        aria-current={isCurrent}
        onClick={() => seat.choose(number)}
        onKeyDown={event => moveWith(event, seat, number)}
        onFocus={() => places[0] && seat.places.preview(places[0])}
        onBlur={() => seat.places.preview(null)}
      >
        <span className="sightline-chip" style={{ background: colour }} aria-hidden="true" />
        <span>
          {sentence}
          <small>
            {[
              presence === 'undetermined' && 'uncertain',
              side,
              places.length > 0 ? inWords(places[0]!, seat.describe(places[0]!)) : 'no place',
              statement.decided?.judgement !== 'added' && percent(confidence),
            ]
              .filter(Boolean)
              .join(' · ')}
          </small>
        </span>
        <Standing statement={statement} waiting={waiting} isSigned={report.verified_by !== null} />
      </button>
      {places.length > 1 && (
        <div className="sightline-places" role="group" aria-label="Places">
          {places.map((place, index) => (
            <button
              key={place.tracking_uid}
              type="button"
              className="sightline-small"
              tabIndex={isCurrent ? 0 : -1}
              title={inWords(place, seat.describe(place))}
              aria-label={`Place ${index + 1}: ${inWords(place, seat.describe(place))}`}
              onPointerEnter={() => seat.places.preview(place)}
              onClick={() => seat.choose(number, place)}
            >
              {index + 1}
            </button>
          ))}
        </div>
      )}
      {flags.map((flag, index) => (
        <p className="sightline-flag" key={index}>
          Second look: {flag}
        </p>
      ))}
      {isCurrent && form === 'edit' && (
        <EditForm title="Edit" start={statement} places={places} seat={seat} onSave={finding => seat.edit(statement, finding)} />
      )}
      {isCurrent && form === 'reject' && (
        <RejectMenu title="Reject because of" onChoose={reason => seat.reject(statement, reason)} onCancel={() => seat.open(null)} />
      )}
      {isCurrent && form !== 'edit' && form !== 'reject' && (
        <div className="sightline-verdicts" role="group" aria-label="Your verdict">
          {!statement.decided && (
            <button type="button" title="Accept (A)" disabled={Boolean(waiting)} onClick={() => seat.accept([statement])}>
              Accept
            </button>
          )}
          <button type="button" title="Edit words, side, box or mask (E)" disabled={Boolean(waiting)} onClick={() => seat.open('edit')}>
            Edit
          </button>
          <button type="button" title="Reject, with a reason (X)" disabled={Boolean(waiting)} onClick={() => seat.open('reject')}>
            Reject
          </button>
          {statement.decided && (
            <button type="button" title="Undo what was decided (U)" disabled={Boolean(waiting)} onClick={() => seat.undo(number)}>
              Undo
            </button>
          )}
        </div>
      )}
      {isCurrent && <Details statement={statement} model={report.model} />}
    </li>
  );
});

/** What was decided about a sentence; until then it is a machine's. */
function Standing({
  statement: { decided },
  waiting,
  isSigned,
}: {
  statement: Statement;
  waiting: Waiting | undefined;
  isSigned: boolean;
}) {
  if (waiting) {
    return <span className="sightline-badge sightline-draft">{waiting.held ? 'Not stored' : 'Storing …'}</span>;
  }
  if (!decided) {
    return isSigned ? null : <span className="sightline-badge sightline-draft">AI draft</span>;
  }
  const who = `${spoken(decided.person.name)}, ${new Date(decided.moment).toLocaleString()}`;
  return (
    <span className="sightline-badge sightline-decided" title={who}>
      {decided.judgement}
    </span>
  );
}

function percent(confidence: number): string {
  return confidence > 0 ? `${Math.round(confidence * 100)} % certain` : '';
}

function neighbour(button: HTMLElement): HTMLElement | undefined {
  const all = [...(button.closest('.sightline-column')?.querySelectorAll<HTMLElement>('.sightline-sentence') ?? [])];
  const at = all.indexOf(button);
  return all[at + 1] ?? all[at - 1];
}

function moveWith(event: KeyboardEvent, seat: Seat, from: number): void {
  if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
    event.preventDefault();
    seat.step(event.key === 'ArrowDown' ? 1 : -1, from);
  }
}
