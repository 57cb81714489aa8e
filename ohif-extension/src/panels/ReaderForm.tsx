/** In whose name verdicts are given: the account's, or else asked once, kept in this browser, changed at will. */

import { useState, type FormEvent } from 'react';

import { personOf, spoken } from '../services/reader';
import type { Seat } from '../services/seat';
import { useStore } from '../services/store';
import { useFocus } from './useFocus';

export function ReaderForm({ seat }: { seat: Seat }) {
  const { reader, account } = useStore(seat);
  const [entered, setEntered] = useState(account ?? reader ?? { family: '', given: '', organization: '' });
  const [organization, setOrganization] = useState(reader?.organization ?? '');
  const first = useFocus<HTMLInputElement>();
  const now = { family: entered.family.trim(), given: entered.given.trim(), organization: organization.trim() };
  const isComplete = Boolean(now.family && now.organization);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (isComplete) {
      seat.become(now);
    }
  };
  return (
    <form className="sightline-form" aria-label="Who judges" onSubmit={submit}>
      {account ? (
        <p className="sightline-quiet">You are signed in as {spoken(personOf(account).name)}. Verdicts are stored with this name.</p>
      ) : (
        <>
          <p className="sightline-quiet">Verdicts are stored with your name. It is asked once and kept in this browser.</p>
          <label>
            Family name
            <input
              ref={first}
              required
              maxLength={60}
              autoComplete="family-name"
              value={entered.family}
              onChange={event => setEntered({ ...entered, family: event.target.value })}
            />
          </label>
          <label>
            Given name
            <input
              maxLength={60}
              autoComplete="given-name"
              value={entered.given}
              onChange={event => setEntered({ ...entered, given: event.target.value })}
            />
          </label>
        </>
      )}
      <label>
        Organization
        <input
          ref={account ? first : undefined}
          required
          readOnly={Boolean(account?.organization)}
          maxLength={64}
          autoComplete="organization"
          value={organization}
          onChange={event => setOrganization(event.target.value)}
        />
      </label>
      <div className="sightline-verdicts">
        <button type="submit" disabled={!isComplete}>
          Go on
        </button>
        <button type="button" onClick={() => seat.open(null)}>
          Cancel
        </button>
      </div>
    </form>
  );
}
