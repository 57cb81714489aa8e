/** A report as it is read: the impression, the findings by urgency, what is absent, what is normal, what was held back. */

import { GROUPS, grouped, undecided, type Group } from '../services/findings';
import { isAbout } from '../services/judging';
import { isRead, type Report, type Statement, type StudyReport } from '../services/reports';
import type { Seat } from '../services/seat';
import { useStore } from '../services/store';
import { EditForm } from './EditForm';
import { FindingRow } from './FindingRow';
import { Rejected } from './Rejected';

export function ReportView({ study, seat }: { study: StudyReport; seat: Seat }) {
  const { form, draft } = useStore(seat);
  const { report } = study;
  if (!report || !isRead(study)) {
    return null;
  }
  const groups = grouped(report);
  const isEmpty = report.findings.every(({ presence, kind }) => presence === 'absent' || kind === 'structure');
  return (
    <>
      {form === 'add' && <EditForm title="Add a finding" start={draft} places={[]} seat={seat} onSave={finding => seat.add(finding)} />}
      {report.impression && (
        <section>
          <h3>
            Impression <Badge report={report} />
          </h3>
          <p className="sightline-impression">{report.impression}</p>
        </section>
      )}
      {isEmpty && <p className="sightline-quiet">The model stated no abnormal finding.</p>}
      {GROUPS.map(({ group, title }) => (
        <Section key={group} group={group} title={title} statements={groups.get(group)!} report={report} seat={seat} />
      ))}
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
      <Rejected report={report} seat={seat} />
      <footer className="sightline-quiet">
        {report.model.name} {report.model.version}, {new Date(report.started).toLocaleString()}. Scores are the model&apos;s own and not
        calibrated.
      </footer>
    </>
  );
}

/** Text of a machine is a draft until somebody signs it. */
function Badge({ report }: { report: Report }) {
  return report.verified_by ? (
    <span className="sightline-badge">Signed</span>
  ) : (
    <span className="sightline-badge sightline-draft">AI draft</span>
  );
}

interface SectionProps {
  group: Group;
  title: string;
  statements: readonly Statement[];
  report: Report;
  seat: Seat;
}

function Section({ group, title, statements, report, seat }: SectionProps) {
  const { current, form, areStructuresShown } = useStore(seat);
  const { queue } = useStore(seat.judging);
  if (statements.length === 0) {
    return null;
  }
  const isFolded = group === 'structures' && !areStructuresShown;
  const open = undecided(report).filter(each => statements.includes(each));
  const canBeAcceptedTogether = (group === 'absent' || group === 'structures') && open.length > 0 && !report.verified_by;
  const order = seat.inOrder();
  const tabbed = order.find(each => each.number === current) ?? order[0];
  return (
    <section className={`sightline-${group}`}>
      <h3>
        {group === 'structures' ? (
          <button type="button" aria-expanded={!isFolded} onClick={() => seat.showStructures(isFolded)}>
            {isFolded ? '▸' : '▾'} {title} ({statements.length})
          </button>
        ) : (
          `${title} (${statements.length})`
        )}
        {canBeAcceptedTogether && (
          <button type="button" className="sightline-small" onClick={() => seat.accept(open)}>
            Accept {open.length === 1 ? 'it' : `all ${open.length}`}
          </button>
        )}
      </h3>
      {!isFolded && (
        <ul>
          {statements.map(statement => (
            <FindingRow
              key={statement.number}
              statement={statement}
              isCurrent={statement.number === current}
              isTabbed={statement.number === tabbed?.number}
              form={statement.number === current ? form : null}
              waiting={queue.find(each => isAbout(each, statement.number))}
              report={report}
              seat={seat}
            />
          ))}
        </ul>
      )}
    </section>
  );
}
