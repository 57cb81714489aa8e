/** Where the reading is, said aloud when it changes. */

import { signInAddress } from '../services/api';
import type { Seat } from '../services/seat';
import { statusOf } from '../services/status';
import { useStore } from '../services/store';

/** Boxes and masks come from the archive and may be on the screen although Sightline is away. */
const NOTICE = 'Boxes and masks marked AI are investigational, not verified by a radiologist, not for diagnosis.';

export function StatusView({ seat }: { seat: Seat }) {
  const { answer, away, live } = useStore(seat.reading);
  const study = answer?.kind === 'known' ? answer.study : null;
  return (
    <header>
      <p className="sightline-notice">{study?.notice || NOTICE}</p>
      <div role="status">
        {statusOf(answer, away, live).map(({ tone, words, progress, isSignedOut }) => (
          <div key={words} className={`sightline-status sightline-${tone}`}>
            {words}
            {isSignedOut && (
              <>
                {' '}
                <a href={signInAddress()} target="_blank" rel="noreferrer">
                  Sign in again, in another tab
                </a>
              </>
            )}
            {progress !== undefined && (
              <progress aria-label="Progress of the reading" value={progress} max={1}>
                {Math.round(progress * 100)} %
              </progress>
            )}
          </div>
        ))}
      </div>
      {study?.report?.failures.map((sentence, index) => (
        <p key={index} className="sightline-status sightline-alert">
          Not read: {sentence}
        </p>
      ))}
    </header>
  );
}
