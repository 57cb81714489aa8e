/** What is known of the study on the screen, kept true while it is open. */

import type { Away } from './api';
import { listen, type Question, type StudyState } from './events';
import { askForReport, isPending, type Answer, type StudyReport } from './reports';
import { Store } from './store';

const ASK_AGAIN_MS = 5000;

interface Known {
  /** The last that Sightline said; null until it has said anything. */
  answer: Answer | null;
  /** Why Sightline cannot be heard now; what was known before stays on the screen. */
  away: Away | null;
  /** The last that it said by itself. */
  live: StudyState | null;
}

export class Reading extends Store<Known> {
  private stop = new AbortController();
  private asking = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private isHeard = false;

  /** `version`: another version of the report is in force than a moment ago. `heard`: the line is open, and says only what is new. */
  constructor(
    readonly studyUid: string,
    private readonly on: { version(): void; question(question: Question): void; heard(): void }
  ) {
    super({ answer: null, away: null, live: null });
  }

  /** Ask and listen until the returned function is called. */
  start(): () => void {
    this.stop = new AbortController();
    void this.reload();
    const end = listen(this.studyUid, {
      onState: state => this.hear(state),
      onQuestion: question => this.on.question(question),
      onLine: isOpen => this.onLine(isOpen),
    });
    return () => {
      end();
      this.stop.abort();
      this.asking.abort();
      clearTimeout(this.timer);
    };
  }

  get study(): StudyReport | null {
    const { answer } = this.get();
    return answer?.kind === 'known' ? answer.study : null;
  }

  /** Ask for the report anew. */
  async reload(): Promise<void> {
    this.asking.abort();
    clearTimeout(this.timer);
    const asking = new AbortController();
    this.asking = asking;
    const liveBefore = this.get().live;
    const answer = await askForReport(this.studyUid, asking.signal);
    if (asking.signal.aborted || this.stop.signal.aborted) {
      return;
    }
    this.say(answer);
    const { live } = this.get();
    if (live && live !== liveBefore && answer.kind === 'known' && live.document_uid !== documentOf(answer)) {
      void this.reload(); // it was said while the answer was on its way
      return;
    }
    if (answer.kind === 'away' || (isPending(answer) && !this.isHeard)) {
      this.timer = setTimeout(() => void this.reload(), ASK_AGAIN_MS);
    }
  }

  /** What a decision of this reader led to. */
  take(study: StudyReport): void {
    this.asking.abort(); // it may bring what was true before
    this.say({ kind: 'known', study });
  }

  private say(answer: Answer): void {
    const before = this.get().answer;
    if (answer.kind === 'away') {
      this.set({ away: answer, answer: before ?? answer });
      return;
    }
    this.set({ answer, away: null });
    if (before && before.kind !== 'away' && documentOf(before) !== documentOf(answer)) {
      this.on.version();
    }
  }

  private hear(live: StudyState): void {
    const { answer, live: before } = this.get();
    this.set({ live });
    const isNew = answer !== null && (live.document_uid ?? null) !== documentOf(answer);
    if (isNew || (before && before.state !== live.state) || (answer?.kind === 'unknown' && live.state)) {
      void this.reload();
    }
  }

  private onLine(isOpen: boolean): void {
    const wasHeard = this.isHeard;
    this.isHeard = isOpen;
    if (isOpen) {
      this.on.heard();
    }
    const { answer, away } = this.get();
    if (answer && (isOpen ? away : wasHeard)) {
      void this.reload(); // whether Sightline is away, or back
    }
  }
}

function documentOf(answer: Answer): string | null {
  return answer.kind === 'known' ? (answer.study.report?.document_uid ?? null) : null;
}
