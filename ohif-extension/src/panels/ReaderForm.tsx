/** In whose name verdicts are given: asked once, kept in this browser, changed at will. */

import { useState, type FormEvent } from 'react';

import type { Seat } from '../services/seat';
import { useStore } from '../services/store';
import { useFocus } from './useFocus';

export function ReaderForm({ seat }: { seat: Seat }) {
  const { reader } = useStore(seat);
  const [entered, setEntered] = useState(reader ?? { family: '', given: '', organization: '' });
  const first = useFocus<HTMLInputElement>();
  const isComplete = Boolean(entered.family.trim() && entered.organization.trim());
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (isComplete) {
      seat.become({ family: entered.family.trim(), given: entered.given.trim(), organization: entered.organization.trim() });
    }
  };
  return (
    <form className="sightline-form" aria-label="Who judges" onSubmit={submit}>
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
      <label>
        Organization
        <input
          required
          maxLength={64}
          autoComplete="organization"
          value={entered.organization}
          onChange={event => setEntered({ ...entered, organization: event.target.value })}
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
