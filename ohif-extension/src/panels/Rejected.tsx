/** What radiologists have taken out of the report; each sentence can be brought back. */

import { useEffect, useState } from 'react';

import { spoken } from '../services/reader';
import { askForHistory, type Report } from '../services/reports';
import type { Seat } from '../services/seat';

export function Rejected({ report, seat }: { report: Report; seat: Seat }) {
  const sentences = useSentences(report, seat.reading.studyUid);
  if (report.rejected.length === 0) {
    return null;
  }
  return (
    <section>
      <h3>Rejected</h3>
      <ul>
        {report.rejected.map(({ number, reason, person, moment }) => (
          <li key={number} className="sightline-quiet">
            <s>{sentences.get(number) ?? `Sentence ${number}`}</s> {reason}, {spoken(person.name)}, {new Date(moment).toLocaleString()}
            <button type="button" className="sightline-small" onClick={() => seat.undo(number)}>
              Bring back
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** The words of what was rejected, by number: a report does not have them any more, its older versions do. */
function useSentences(report: Report, studyUid: string): ReadonlyMap<number, string> {
  const [sentences, setSentences] = useState<ReadonlyMap<number, string>>(new Map());
  const isMissing = report.rejected.some(({ number }) => !sentences.has(number));
  useEffect(() => {
    if (isMissing) {
      void askForHistory(studyUid).then(versions => {
        const oldestFirst = [...(versions ?? [])].reverse().flatMap(each => each.findings);
        setSentences(new Map(oldestFirst.map(each => [each.number, each.sentence])));
      });
    }
  }, [studyUid, isMissing, report.document_uid]);
  return sentences;
}
