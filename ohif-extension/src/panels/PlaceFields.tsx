/** The places of a finding that is edited: each stays, is drawn anew with the viewer's tools, or goes. */

import { inWords } from '../services/findings';
import type { DrawingTool, PlaceIn } from '../services/places';
import type { Place } from '../services/reports';
import type { Redrawn } from '../services/seat';

interface Props {
  places: readonly PlaceIn[];
  /** The same places as the report has them; one that is not among them is an answer of the assistant's. */
  known: readonly Place[];
  redrawn: Redrawn;
  onDraw(tool: DrawingTool, place: Place | null): void;
  onChange(places: PlaceIn[]): void;
}

export function PlaceFields({ places, known, redrawn, onDraw, onChange }: Props) {
  return (
    <ul aria-label="Places">
      {places.map((each, index) => {
        const place = known.find(({ tracking_uid }) => tracking_uid === each.tracking_uid) ?? null;
        const title = `Place ${index + 1}`;
        return (
          <li key={each.tracking_uid ?? index} className="sightline-places">
            <span className="sightline-quiet">
              {title}: {describe(each, place)}
              {place && redrawn.uids.has(place.tracking_uid) && ', as you draw it now'}
            </span>
            {place && <Tools title={title} onDraw={tool => onDraw(tool, place)} />}
            <button
              type="button"
              className="sightline-small"
              aria-label={`Remove ${title}`}
              onClick={() => onChange(places.filter((_, at) => at !== index))}
            >
              Remove
            </button>
          </li>
        );
      })}
      <li className="sightline-places">
        <span className="sightline-quiet">New place{redrawn.isNew && ': as you draw it now'}</span>
        <Tools title="New place" onDraw={tool => onDraw(tool, null)} />
      </li>
    </ul>
  );
}

const TOOLS: readonly { tool: DrawingTool; words: string }[] = [
  { tool: 'box', words: 'Box' },
  { tool: 'brush', words: 'Brush' },
  { tool: 'eraser', words: 'Eraser' },
];

function Tools({ title, onDraw }: { title: string; onDraw(tool: DrawingTool): void }) {
  return TOOLS.map(({ tool, words }) => (
    <button key={tool} type="button" className="sightline-small" aria-label={`${words}: ${title}`} onClick={() => onDraw(tool)}>
      {words}
    </button>
  ));
}

function describe({ start, stop, mask }: PlaceIn, known: Place | null): string {
  if (known) {
    return inWords(known);
  }
  return start && stop ? `${inWords({ start, stop })}, a ${mask ? 'mask' : 'box'}` : 'as it is';
}
