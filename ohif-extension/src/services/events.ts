/** What Sightline says by itself of a study while it is open: server-sent events. */

import type { components } from '../types';
import { addressOf, ofStudy } from './api';

export type StudyState = components['schemas']['StudyState'];
export type Question = components['schemas']['Question'];

export interface Listener {
  onState(state: StudyState): void;
  onQuestion(question: Question): void;
  /** Whether Sightline can be heard now. */
  onLine(isOpen: boolean): void;
}

const TRY_AGAIN_MS = 5000;

/**
 * Listen until the returned function is called. A line that breaks is taken up again. A page that nobody sees does not listen:
 * a browser has six lines to one server over HTTP/1.1, for all its pages together.
 */
export function listen(studyUid: string, listener: Listener): () => void {
  let source: EventSource | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const close = () => {
    clearTimeout(timer);
    source?.close();
  };
  const open = () => {
    close();
    const line = new EventSource(addressOf(ofStudy(studyUid, '/events')));
    source = line;
    line.addEventListener('open', () => listener.onLine(true));
    line.addEventListener('study', event => hear<StudyState>(event, state => listener.onState(state)));
    line.addEventListener('question', event => hear<Question>(event, question => listener.onQuestion(question)));
    line.addEventListener('error', () => {
      listener.onLine(false);
      if (line.readyState === EventSource.CLOSED) {
        timer = setTimeout(open, TRY_AGAIN_MS); // a browser gives up where the answer was an error
      }
    });
  };
  const look = () => (document.hidden ? close() : open());
  document.addEventListener('visibilitychange', look);
  look();

  return () => {
    document.removeEventListener('visibilitychange', look);
    close();
  };
}

/** An event that cannot be read is of another version: the next one may be better. */
function hear<Data>(event: Event, take: (data: Data) => void): void {
  let data: Data;
  try {
    data = JSON.parse((event as MessageEvent<string>).data) as Data;
  } catch {
    return;
  }
  take(data);
}
