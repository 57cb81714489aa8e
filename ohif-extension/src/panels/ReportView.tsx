/** A report as it is read: what it is, the impression, each sentence with its places, and what was held back. */

import { isPending, type Answer, type Place, type Statement, type StudyReport } from '../services/reports';

/** Boxes and masks come from the archive and may be on the screen although Sightline is away. */
const NOTICE = 'Boxes and masks marked AI are investigational, not verified by a radiologist, not for diagnosis.';

type GoTo = (statement: Statement, place: Place) => void;

export function ReportView({ answer, isDrawn, goTo }: { answer: Answer | null; isDrawn: boolean; goTo: GoTo }) {
  if (answer === null) {
    return <p className="sightline-quiet">Asking for the report ...</p>;
  }
  if (answer.kind === 'away') {
    return (
      <>
        <p className="sightline-notice">{NOTICE}</p>
        <p className="sightline-alert" role="alert">
          No report can be shown now. {answer.why} It is asked again every few seconds.
        </p>
      </>
    );
  }
  if (answer.kind === 'unknown') {
    return <p className="sightline-quiet">This study was not read by AI.</p>;
  }
  return (
    <>
      <p className="sightline-notice">{answer.study.notice}</p>
      <Work answer={answer} study={answer.study} />
      {isRead(answer.study) && !isDrawn && (
        <p className="sightline-quiet">
          The result came after this page was opened.
          <button type="button" className="sightline-other" onClick={() => window.location.reload()}>
            show it on the images
          </button>
        </p>
      )}
      {answer.study.report && <Failures report={answer.study.report} />}
      {answer.study.report && isRead(answer.study) && <Body report={answer.study.report} goTo={goTo} />}
    </>
  );
}

/** A report that only says why nothing could be read is none. */
function isRead(study: StudyReport): boolean {
  return study.report !== null && study.report.outcome !== 'not read';
}

/** What could not be read; a report about the rest must not look complete. */
function Failures({ report }: { report: NonNullable<StudyReport['report']> }) {
  return report.failures.map((sentence, index) => (
    <p key={index} className="sightline-alert" role="alert">
      Not read: {sentence}
    </p>
  ));
}

/** Where the work on the study is, unless it is simply done: silence must never look like a normal result. */
function Work({ answer, study }: { answer: Answer; study: StudyReport }) {
  if (isRead(study) && !isPending(answer) && study.state !== 'failed') {
    return null;
  }
  if (study.taken_back && !isPending(answer)) {
    const { person, reason, moment } = study.taken_back;
    return (
      <p className="sightline-alert" role="status">
        No report: {person.name} took it back on {new Date(moment).toLocaleString()} ({reason}).
      </p>
    );
  }
  return (
    <p className={isPending(answer) ? 'sightline-quiet' : 'sightline-alert'} role="status">
      {isRead(study) ? 'A newer reading' : 'No report'}: {study.state ?? 'not read'}. {study.reason}
    </p>
  );
}

function Body({ report, goTo }: { report: NonNullable<StudyReport['report']>; goTo: GoTo }) {
  return (
    <>
      {report.impression && (
        <section>
          <h3>Impression</h3>
          <p className="sightline-impression">{report.impression}</p>
        </section>
      )}
      <section>
        <h3>Findings</h3>
        {report.findings.length === 0 && <p className="sightline-quiet">The model stated none.</p>}
        <ul>
          {report.findings.map((statement, index) => (
            <Sentence key={index} statement={statement} goTo={goTo} />
          ))}
        </ul>
      </section>
      {report.withheld.length > 0 && (
        <section>
          <h3>Withheld</h3>
          <ul>
            {report.withheld.map((sentence, index) => (
              <li key={index} className="sightline-flag">
                {sentence}
              </li>
            ))}
          </ul>
        </section>
      )}
      {report.verified_by && (
        <p className="sightline-quiet">
          Signed by {report.verified_by.name}, {report.verified_by.organization}, {new Date(report.moment).toLocaleString()}.
        </p>
      )}
      <p className="sightline-quiet">
        {report.model.name} {report.model.version}, {new Date(report.started).toLocaleString()}. Scores are the model&apos;s own and not
        calibrated.
      </p>
    </>
  );
}

function Sentence({ statement, goTo }: { statement: Statement; goTo: GoTo }) {
  const [first, ...others] = statement.places;
  return (
    <li className={statement.flags.length > 0 ? 'sightline-flagged' : ''}>
      {first ? (
        <button type="button" className="sightline-sentence" title="Go to this place" onClick={() => goTo(statement, first)}>
          {statement.sentence}
          <span className="sightline-score">{first.score.toFixed(2)}</span>
        </button>
      ) : (
        <span className="sightline-sentence sightline-placeless">{statement.sentence}</span>
      )}
      {others.map((place, index) => (
        <button type="button" className="sightline-other" key={place.tracking_uid} onClick={() => goTo(statement, place)}>
          place {index + 2}
        </button>
      ))}
      {statement.flags.map((flag, index) => (
        <p className="sightline-flag" key={index}>
          Second look: {flag}
        </p>
      ))}
    </li>
  );
}
