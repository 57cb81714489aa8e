/** A finding in the reader's own words, with boxes and masks as the viewer's tools left them. */

import { useEffect, useState, type FormEvent, type KeyboardEvent } from 'react';

import type { PlaceIn } from '../services/places';
import type { Place, Statement } from '../services/reports';
import type { Draft, Redrawn, Seat } from '../services/seat';
import { useStore } from '../services/store';
import { PlaceFields } from './PlaceFields';
import { useFocus } from './useFocus';
import { useTyped } from './useTyped';

interface Props {
  title: string;
  /** What the fields start with; null starts with an empty finding. */
  start: Statement | Draft | null;
  /** The places that the finding has in the report. */
  places: readonly Place[];
  seat: Seat;
  onSave(draft: Draft): void;
}

export function EditForm({ title, start, places, seat, onSave }: Props) {
  const [draft, setDraft] = useTyped(seat, 'draft', () => ({
    sentence: start?.sentence ?? '',
    name: start?.name ?? '',
    presence: start?.presence ?? 'present',
    side: start?.side ?? null,
    places: places.length > 0 ? places.map(({ tracking_uid }) => ({ tracking_uid })) : ((start as Draft | null)?.places ?? []),
  }));
  const { redrawn } = useStore(seat);
  const [why, setWhy] = useState('');
  const sentence = useFocus<HTMLTextAreaElement>();
  useEffect(() => () => void seat.places.draw(null, null), [seat]); // a tool is in the hand only while the form is in sight

  const change = (part: Partial<Draft>) => setDraft({ ...draft, ...part });
  const save = async (event: FormEvent | KeyboardEvent) => {
    event.preventDefault();
    if (!draft.sentence.trim()) {
      setWhy('Say in a sentence what is there.');
      return;
    }
    try {
      onSave({
        ...draft,
        sentence: draft.sentence.trim(),
        name: draft.name.trim(),
        places: await placesAsDrawn(draft.places, redrawn, places, seat),
      });
    } catch (error) {
      setWhy(error instanceof Error ? error.message : 'What was drawn cannot be read.');
    }
  };
  const names = [...new Set(seat.report?.findings.map(each => each.name).filter(Boolean))];

  return (
    <form
      className="sightline-form"
      aria-label={title}
      onSubmit={event => void save(event)}
      onKeyDown={event =>
        event.key === 'Enter' && (event.ctrlKey || event.metaKey || event.target === sentence.current) && void save(event)
      }
    >
      <label>
        Sentence
        <textarea
          ref={sentence}
          rows={2}
          maxLength={1000}
          value={draft.sentence}
          onChange={event => change({ sentence: event.target.value.replace(/\s*\n\s*/g, ' ') })}
        />
      </label>
      <div className="sightline-fields">
        <label>
          Name
          <input list="sightline-names" value={draft.name} maxLength={64} onChange={event => change({ name: event.target.value })} />
        </label>
        <datalist id="sightline-names">
          {names.map(name => (
            <option key={name} value={name} />
          ))}
        </datalist>
        <label>
          Presence
          <select value={draft.presence} onChange={event => change({ presence: event.target.value as Draft['presence'] })}>
            <option value="present">present</option>
            <option value="absent">absent</option>
            <option value="undetermined">uncertain</option>
          </select>
        </label>
        <label>
          Side
          <select value={draft.side ?? ''} onChange={event => change({ side: (event.target.value || null) as Draft['side'] })}>
            <option value="">none</option>
            <option value="right">right</option>
            <option value="left">left</option>
            <option value="bilateral">both</option>
          </select>
        </label>
      </div>
      <PlaceFields places={draft.places} known={places} redrawn={redrawn} onDraw={(tool, place) => seat.redraw(tool, place)} onChange={changed => change({ places: changed })} />
      {why && (
        <p className="sightline-flag" role="alert">
          {why}
        </p>
      )}
      <div className="sightline-verdicts">
        <button type="submit" title="Enter in the sentence, or Ctrl+Enter">
          Save
        </button>
        <button type="button" onClick={() => seat.open(null)}>
          Cancel
        </button>
      </div>
    </form>
  );
}

/** The places with what the reader drew in their stead; an Error in words where nothing was drawn. */
async function placesAsDrawn(
  places: readonly PlaceIn[],
  { uids, isNew }: Redrawn,
  known: readonly Place[],
  seat: Seat
): Promise<PlaceIn[]> {
  const asLeft = places.map(each => {
    const place = known.find(({ tracking_uid }) => tracking_uid === each.tracking_uid);
    return place && uids.has(place.tracking_uid) ? seat.places.edited(place) : each;
  });
  const drawn = isNew ? seat.places.drawn() : null;
  if (isNew && !drawn) {
    throw new Error('Nothing is drawn yet: draw a box or paint on the image, then save.');
  }
  return [...(await Promise.all(asLeft)), ...(drawn ? [drawn] : [])];
}
