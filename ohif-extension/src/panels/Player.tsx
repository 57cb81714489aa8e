/** The reading step by step: what was thought, and on the images where. */

import { useEffect } from 'react';

import type { Seat } from '../services/seat';
import { useStore } from '../services/store';

export function Player({ seat: { playing } }: { seat: Seat }) {
  const { steps, at, isGoing } = useStore(playing);
  const step = at === null ? undefined : steps[at];
  const isShown = step !== undefined;

  useEffect(() => {
    const stop = (event: KeyboardEvent) => {
      if (event.key === 'Escape') {
        event.stopPropagation();
        playing.stop();
      }
    };
    if (isShown) {
      document.addEventListener('keydown', stop, true); // the focus may be in the images
    }
    return () => document.removeEventListener('keydown', stop, true);
  }, [playing, isShown]);

  if (at === null || !step) {
    return null;
  }
  return (
    <section className="sightline-player" aria-label="The reading step by step">
      <p aria-live="polite">{step.words}</p>
      <div className="sightline-verdicts">
        <span className="sightline-quiet">
          {at + 1} of {steps.length}
        </span>
        <button type="button" disabled={at === 0} onClick={() => playing.move(-1)}>
          Back
        </button>
        <button type="button" onClick={() => playing.pause()}>
          {isGoing ? 'Pause' : 'Go on'}
        </button>
        <button type="button" onClick={() => playing.move(1)}>
          Next
        </button>
        <button type="button" onClick={() => playing.stop()}>
          Stop
        </button>
      </div>
    </section>
  );
}
