/** How much is decided, and the signature when all is; or the whole report taken back. */

import type { FormEvent } from 'react';

import { undecided } from '../services/findings';
import { personOf, spoken } from '../services/reader';
import type { Report } from '../services/reports';
import type { Seat } from '../services/seat';
import { useStore } from '../services/store';
import { RejectMenu } from './RejectMenu';
import { useFocus } from './useFocus';
import { useTyped } from './useTyped';

export function SignBar({ seat, report }: { seat: Seat; report: Report }) {
  const { form } = useStore(seat);
  const left = undecided(report).length;
  const all = report.findings.length;
  if (form === 'sign') {
    return <SignForm seat={seat} report={report} />;
  }
  if (form === 'take back') {
    return (
      <div className="sightline-sign">
        <RejectMenu
          title="Take the whole report back because of"
          onChoose={reason => seat.takeBack(reason)}
          onCancel={() => seat.open(null)}
        />
      </div>
    );
  }
  return (
    <div className="sightline-sign">
      <span>{report.verified_by ? signature(report) : left === 0 ? 'All decided' : `${all - left} of ${all} decided, ${left} left`}</span>
      <button type="button" className="sightline-small" onClick={() => seat.open('take back')}>
        Take back
      </button>
      {!report.verified_by && (
        <button type="button" disabled={left > 0} title="Sign the report (Shift+S)" onClick={() => seat.open('sign')}>
          Sign
        </button>
      )}
    </div>
  );
}

function signature({ verified_by, moment }: Report): string {
  return verified_by ? `Signed by ${spoken(verified_by.name)}, ${verified_by.organization}, ${new Date(moment).toLocaleString()}` : '';
}

function SignForm({ seat, report }: { seat: Seat; report: Report }) {
  const { reader } = useStore(seat);
  const [impression, setImpression] = useTyped(seat, 'impression', () => report.impression);
  const button = useFocus<HTMLButtonElement>();
  const sign = (event: FormEvent) => {
    event.preventDefault();
    seat.sign(impression.trim());
  };
  return (
    <form className="sightline-form sightline-sign-form" aria-label="Sign the report" onSubmit={sign}>
      <label>
        Impression
        <textarea rows={3} maxLength={4000} value={impression} onChange={event => setImpression(event.target.value)} />
      </label>
      <div className="sightline-verdicts">
        <button ref={button} type="submit">
          Sign{reader ? ` as ${spoken(personOf(reader).name)}` : ''}
        </button>
        <button type="button" onClick={() => seat.open(null)}>
          Cancel
        </button>
      </div>
    </form>
  );
}
