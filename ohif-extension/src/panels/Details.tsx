/** What stands behind a sentence, for those who want to know: sizes, scores, who decided, which model. */

import { spoken } from '../services/reader';
import type { Report, Statement } from '../services/reports';

export function Details({ statement, model }: { statement: Statement; model: Report['model'] }) {
  const { number, name, confidence, places, decided } = statement;
  return (
    <details className="sightline-details">
      <summary>Details</summary>
      <dl>
        <dt>Sentence</dt>
        <dd>
          {number}
          {name && `, ${name}`}
        </dd>
        {confidence > 0 && (
          <>
            <dt>Certainty</dt>
            <dd>{confidence.toFixed(2)}, the model&apos;s own, not calibrated</dd>
          </>
        )}
        {places.map((place, index) => (
          <Sizes key={place.tracking_uid} title={places.length > 1 ? `Place ${index + 1}` : 'Place'} place={place} />
        ))}
        {decided && (
          <>
            <dt>{decided.judgement}</dt>
            <dd>
              {spoken(decided.person.name)}, {decided.person.organization}, {new Date(decided.moment).toLocaleString()}
            </dd>
          </>
        )}
        <dt>Model</dt>
        <dd title={model.weights_hash}>
          {model.name} {model.version}, weights {model.weights_hash.slice(0, 12)}
        </dd>
      </dl>
    </details>
  );
}

function Sizes({ title, place }: { title: string; place: Statement['places'][number] }) {
  const sizes = place.measurements.map(({ quantity, value, unit }) => `${quantity} ${value} ${UNIT_SIGNS[unit] ?? unit}`);
  return (
    <>
      <dt>{title}</dt>
      <dd>{[...sizes, `mask score ${place.score.toFixed(2)}`].join(', ')}</dd>
    </>
  );
}

/** UCUM's codes as people write them. */
const UNIT_SIGNS: Record<string, string> = { cm3: 'cm³', mm2: 'mm²', mm3: 'mm³', cm2: 'cm²', "[hnsf'U]": 'HU' };
