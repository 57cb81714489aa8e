/** Ask in words or by pointing; the answer is a draft until it is kept. */

import { useState, type FormEvent, type RefObject } from 'react';

import { regionsOf, type Prompt } from '../services/asking';
import type { Question } from '../services/events';
import type { Seat } from '../services/seat';
import { useStore } from '../services/store';
import { useTyped } from './useTyped';

const POINTERS = [
  { kind: 'point', label: 'Point' },
  { kind: 'minus', label: 'Exclude' },
  { kind: 'box', label: 'Box' },
] as const;

export function AskBox({ seat, input }: { seat: Seat; input: RefObject<HTMLInputElement> }) {
  const { asking } = seat;
  const { questions, shown, prompt, picking, why } = useStore(asking);
  const { draft, current: lit } = useStore(seat);
  const place = seat.report?.findings.find(each => each.number === lit)?.places[0];
  const [words, setWords] = useTyped(seat, 'question', () => '');
  const [throughSlices, setThroughSlices] = useState(true);
  const current = questions.find(each => each.question_id === shown);
  const isBusy = current !== undefined && ['queued', 'running'].includes(current.state);

  const ask = (kind: 'segment' | 'what') =>
    seat.asReader(reader => void asking.ask(kind, words.trim(), throughSlices, reader).then(() => setWords('')));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (words.trim() || prompt) {
      ask('segment');
    }
  };

  return (
    <form className="sightline-ask" aria-label="Ask the AI" onSubmit={submit}>
      {current && !draft && <AnswerView question={current} seat={seat} />}
      <div className="sightline-fields">
        <input
          ref={input}
          aria-label="Ask"
          placeholder="Ask, e.g. left lower lobe"
          maxLength={200}
          value={words}
          onChange={event => setWords(event.target.value)}
          onKeyDown={event => event.key === 'Escape' && event.currentTarget.blur()}
        />
        <button type="submit" disabled={isBusy || !(words.trim() || prompt)}>
          Segment
        </button>
      </div>
      <div className="sightline-fields" role="group" aria-label="Point at the image">
        {POINTERS.map(({ kind, label }) => (
          <button
            key={kind}
            type="button"
            className="sightline-small"
            aria-pressed={picking === kind}
            onClick={() => void asking.pick(kind)}
          >
            {label}
          </button>
        ))}
        <button
          type="button"
          className="sightline-small"
          disabled={isBusy || !(prompt || place)}
          title="A short answer about what you pointed at, or about the lit finding's place"
          onClick={() => {
            if (!prompt && place) {
              asking.mark(place);
            }
            ask('what');
          }}
        >
          What is this?
        </button>
        <label className="sightline-check">
          <input type="checkbox" checked={throughSlices} onChange={event => setThroughSlices(event.target.checked)} /> through slices
        </label>
      </div>
      {picking && (
        <p className="sightline-quiet" role="status">
          {picking === 'box' ? 'Drag a box on the image' : 'Click on the image'}, or press Escape.
        </p>
      )}
      {prompt && (
        <p className="sightline-quiet">
          {describe(prompt)}
          <button type="button" className="sightline-small" onClick={() => asking.unmark()}>
            Clear
          </button>
        </p>
      )}
      {why && (
        <p className="sightline-flag" role="alert">
          Not asked: {why}
        </p>
      )}
      <Before questions={questions.filter(each => each !== current)} seat={seat} />
    </form>
  );
}

/** A question's state, and its answer with what can be done with it. */
function AnswerView({ question, seat }: { question: Question; seat: Seat }) {
  const { answer, state, reason, asked } = question;
  const { asking } = seat;
  const { current } = useStore(seat);
  const statement = seat.report?.findings.find(each => each.number === current);
  const places = regionsOf(question).map(({ series_uid, start, stop, mask }) => ({ series_uid, start, stop, mask }));
  const keep = () => {
    if (answer) {
      seat.draftFinding({ sentence: answer.sentence, name: answer.name, presence: 'present', side: answer.side, places });
    }
  };
  const give = () => {
    if (statement) {
      const { sentence, name, presence, side } = statement;
      seat.edit(statement, { sentence, name, presence, side, places });
      asking.close();
    }
  };
  return (
    <div className="sightline-answer sightline-unsigned" role="status" aria-label="Answer">
      <span className="sightline-quiet">{asked.words || (asked.kind === 'what' ? 'What is this?' : 'What was pointed at')}</span>
      {answer ? (
        <>
          <p>
            {answer.sentence} <span className="sightline-badge sightline-draft">AI draft</span>
          </p>
          {places.length === 0 && <p className="sightline-quiet">No region was found.</p>}
          <div className="sightline-verdicts">
            <button type="button" title="Keep it as a finding of the report" onClick={keep}>
              Keep
            </button>
            {statement && places.length > 0 && (
              <button type="button" title={`As the place of “${statement.sentence}”`} onClick={give}>
                Keep for the lit finding
              </button>
            )}
            <button
              type="button"
              title="Add a point that belongs to it"
              onClick={() => seat.asReader(reader => void asking.refine('point', reader))}
            >
              + Point
            </button>
            <button
              type="button"
              title="Add a point that does not belong to it"
              onClick={() => seat.asReader(reader => void asking.refine('minus', reader))}
            >
              − Point
            </button>
            <button type="button" onClick={() => asking.close()}>
              Discard
            </button>
          </div>
        </>
      ) : (
        <p className={state === 'failed' ? 'sightline-flag' : 'sightline-quiet'}>
          {state === 'failed' ? `No answer: ${reason}` : state === 'queued' ? 'The question waits for its turn …' : 'The AI looks …'}
          {state === 'failed' && (
            <button type="button" className="sightline-small" onClick={() => asking.close()}>
              Close
            </button>
          )}
        </p>
      )}
    </div>
  );
}

/** What was asked before, also by others; it is the study's log. */
function Before({ questions, seat }: { questions: readonly Question[]; seat: Seat }) {
  if (questions.length === 0) {
    return null;
  }
  return (
    <details className="sightline-details">
      <summary>Asked before ({questions.length})</summary>
      <ul>
        {questions.map(question => (
          <li key={question.question_id}>
            <button type="button" className="sightline-small" onClick={() => seat.asking.show(question)}>
              {question.asked.words || (question.asked.kind === 'what' ? 'What is this?' : 'Pointed at')}
            </button>{' '}
            <span className="sightline-quiet">{question.answer?.sentence ?? question.state}</span>
          </li>
        ))}
      </ul>
    </details>
  );
}

function describe({ slice, points, box }: Prompt): string {
  const positive = points.filter(each => each.positive).length;
  const marks = [box && 'a box', counted(positive, 'point'), counted(points.length - positive, 'point', ' excluded')];
  return `Slice ${slice + 1}: ${marks.filter(Boolean).join(', ')}`;
}

function counted(number: number, word: string, rest = ''): string {
  return number === 0 ? '' : `${number} ${word}${number === 1 ? '' : 's'}${rest}`;
}
