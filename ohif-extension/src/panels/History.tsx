/** Who decided what, and when: every version of the study's report. */

import { useEffect, useState } from 'react';

import { spoken } from '../services/reader';
import { askForHistory, type Report } from '../services/reports';
import type { Seat } from '../services/seat';
import { useStore } from '../services/store';

export function History({ seat }: { seat: Seat }) {
  const { answer } = useStore(seat.reading);
  const shown = answer?.kind === 'known' ? answer.study.report?.document_uid : null;
  const [versions, setVersions] = useState<Report[] | null | 'asking'>('asking');
  useEffect(() => {
    let isOver = false;
    void askForHistory(seat.reading.studyUid).then(heard => isOver || setVersions(heard));
    return () => {
      isOver = true;
    };
  }, [seat, shown]);

  return (
    <section className="sightline-form" aria-label="History">
      <h3>
        History
        <button type="button" className="sightline-small" onClick={() => seat.open(null)}>
          Close
        </button>
      </h3>
      {versions === 'asking' && <p className="sightline-quiet">Asking …</p>}
      {versions === null && <p className="sightline-flag">The history cannot be had now.</p>}
      <ol>
        {Array.isArray(versions) &&
          versions.map((version, index) => (
            <li key={version.document_uid}>
              <strong>
                Version {version.version}
                {version.document_uid === shown ? ' (shown)' : ''}
              </strong>
              , {new Date(version.moment).toLocaleString()}
              {changes(version, versions[index + 1]).map(change => (
                <p key={change} className="sightline-quiet">
                  {change}
                </p>
              ))}
            </li>
          ))}
      </ol>
    </section>
  );
}

/** What a version has that the one before it had not. */
function changes(version: Report, before: Report | undefined): string[] {
  if (version.version === 1 || !before) {
    return [`Read by ${version.model.name} ${version.model.version}: ${version.findings.length} sentences.`];
  }
  const decided = version.findings.flatMap(({ number, sentence, decided: now }) => {
    const then = before.findings.find(each => each.number === number)?.decided ?? null;
    if (now && now.moment !== then?.moment) {
      return [`${spoken(now.person.name)} ${now.judgement} “${sentence}”`];
    }
    return then && !now ? [`Undone: “${sentence}”`] : [];
  });
  const known = new Set(before.rejected.map(({ number, moment }) => `${number} ${moment}`));
  const rejected = version.rejected
    .filter(({ number, moment }) => !known.has(`${number} ${moment}`))
    .map(({ number, reason, person }) => {
      const sentence = before.findings.find(each => each.number === number)?.sentence;
      return `${spoken(person.name)} rejected ${sentence ? `“${sentence}”` : 'the report'} (${reason})`;
    });
  const signed = version.verified_by && !before.verified_by ? [`Signed by ${spoken(version.verified_by.name)}`] : [];
  return [...decided, ...rejected, ...signed];
}
