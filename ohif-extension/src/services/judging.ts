/**
 * A reader's verdicts on their way. They go one after the other, each upon the version that the one before it made. What could
 * not be stored waits where it can be seen, until the reader sends it again or drops it.
 */

import { personOf, type Reader } from './reader';
import type { Reading } from './reading';
import { askForHistory, type Report, type StudyReport } from './reports';
import { Store } from './store';
import { keep, kept } from './tab';
import { decide, takeBack, type Reason, type Stored, type Verdict } from './verdicts';

/** What is sent: verdicts, a signature, or the whole report taken back. */
export type Act =
  | { kind: 'verdicts'; verdicts: Verdict[] }
  | { kind: 'signature'; impression: string | null }
  | { kind: 'rejection'; reason: Reason };

export interface Waiting {
  id: number;
  /** What the reader did, for the reader. */
  words: string;
  act: Act;
  reader: Reader;
  /** SOP Instance UID of the report that was looked at. */
  documentUid: string;
  isUndo: boolean;
  /** Why it is not stored; null while it is on its way. */
  held: Exclude<Stored, { kind: 'stored' }> | null;
}

/** What was stored in this session and can be undone. */
interface Done {
  words: string;
  numbers: number[];
  /** The version before it. */
  version: number;
}

interface State {
  queue: Waiting[];
  done: Done[];
  /** The last that happened, for everyone who cannot see it. */
  said: string;
}

export class Judging extends Store<State> {
  private running: Promise<void> | null = null;
  private nextId = 1;
  /** The newest document that this reader made here; undoing by heart is safe only upon it. */
  private mine: string | null = null;

  constructor(private readonly reading: Reading) {
    super({ queue: [], done: [], said: '' });
    const queue = unsent(reading.studyUid);
    this.nextId = Math.max(0, ...queue.map(each => each.id)) + 1;
    this.set({ queue });
    this.subscribe(() => keep(unsentOf(reading.studyUid), this.get().queue.length > 0 ? this.get().queue : null));
  }

  give(words: string, act: Act, reader: Reader, isUndo = false): Promise<void> {
    const report = this.reading.study?.report;
    if (!report) {
      this.set({ said: 'There is no report to decide on.' });
      return Promise.resolve();
    }
    const waiting: Waiting = { id: this.nextId++, words, act, reader, documentUid: report.document_uid, isUndo, held: null };
    this.set({ queue: [...this.get().queue, waiting] });
    return this.run();
  }

  /** Send what was held, upon the report as it is shown now where somebody else has changed it. */
  again(): Promise<void> {
    const shown = this.reading.study?.report?.document_uid;
    this.set({
      queue: this.get().queue.map(each => ({
        ...each,
        held: null,
        documentUid: each.held && each.held.kind !== 'away' && shown ? shown : each.documentUid,
      })),
    });
    return this.run();
  }

  drop(id: number): void {
    const dropped = this.get().queue.find(each => each.id === id);
    this.set({ queue: this.get().queue.filter(each => each.id !== id), said: dropped ? `Dropped: ${dropped.words}` : '' });
  }

  /** Undo the last verdict of this session, or, where there is none, the last on the sentence with this number. */
  async undo(number: number | null, reader: Reader): Promise<void> {
    await this.running;
    const unsent = this.get().queue.at(-1);
    if (unsent) {
      this.drop(unsent.id);
      return;
    }
    const report = this.reading.study?.report;
    const last = this.mine === report?.document_uid ? this.get().done.at(-1) : undefined;
    if (last) {
      this.set({ done: this.get().done.slice(0, -1) });
      await this.restore(`Undo: ${last.words}`, last.numbers, last.version, reader);
      return;
    }
    const version = report && number !== null ? await this.versionBefore(report, number) : null;
    if (version === null || number === null) {
      this.set({ said: 'There is nothing to undo here.' });
      return;
    }
    await this.restore(`Undo of sentence ${number}`, [number], version, reader);
  }

  private restore(words: string, numbers: number[], version: number, reader: Reader): Promise<void> {
    const verdicts = numbers.map((number): Verdict => ({ verdict: 'restore', number, version }));
    return this.give(words, { kind: 'verdicts', verdicts }, reader, true);
  }

  /** The newest version in which a sentence stood otherwise than it does now. */
  private async versionBefore(report: Report, number: number): Promise<number | null> {
    const versions = (await askForHistory(this.reading.studyUid)) ?? [];
    const standing = (each: Report) => JSON.stringify(each.findings.find(finding => finding.number === number) ?? null);
    const now = standing(report);
    const older = versions.filter(each => each.version < report.version).sort((left, right) => right.version - left.version);
    return older.find(each => standing(each) !== now)?.version ?? null;
  }

  private async run(): Promise<void> {
    this.running ??= this.sendAll().finally(() => (this.running = null));
    await this.running;
  }

  private async sendAll(): Promise<void> {
    for (let next = this.next(); next; next = this.next()) {
      const before = this.reading.study?.report ?? null;
      const stored = await send(this.reading.studyUid, next);
      if (stored.kind === 'stored') {
        this.keep(next, before, stored.study);
      } else {
        this.hold(next, stored);
      }
    }
  }

  private next(): Waiting | undefined {
    return this.get().queue.find(each => !each.held);
  }

  private keep(sent: Waiting, before: Report | null, study: StudyReport): void {
    const after = study.report;
    this.mine = after?.document_uid ?? null;
    this.set({
      // What was given meanwhile was given by the same reader upon the same report.
      queue: this.get()
        .queue.filter(each => each.id !== sent.id)
        .map(each => (after && each.documentUid === sent.documentUid ? { ...each, documentUid: after.document_uid } : each)),
      done:
        after && sent.act.kind === 'verdicts' && !sent.isUndo
          ? [...this.get().done, { words: sent.words, numbers: numbersOf(sent.act.verdicts, before, after), version: after.version - 1 }]
          : this.get().done,
      said: `Stored: ${sent.words}`,
    });
    this.reading.take(study);
  }

  private hold(sent: Waiting, held: Exclude<Stored, { kind: 'stored' }>): void {
    const isHeldToo = (each: Waiting) =>
      each.id === sent.id || held.kind === 'away' || (held.kind === 'overtaken' && each.documentUid === sent.documentUid);
    this.set({
      queue: this.get().queue.map(each => (isHeldToo(each) && !each.held ? { ...each, held } : each)),
      said: `Not stored: ${sent.words}`,
    });
    if (held.kind === 'overtaken' || (held.kind === 'away' && held.isSignedOut)) {
      void this.reading.reload(); // the panel says what is so now
    }
  }
}

function send(studyUid: string, { act, reader, documentUid: document_uid }: Waiting): Promise<Stored> {
  const person = personOf(reader);
  switch (act.kind) {
    case 'rejection':
      return takeBack(studyUid, { document_uid, person, reason: act.reason });
    case 'signature':
      return decide(studyUid, { document_uid, person, verdicts: [], sign: true, impression: act.impression });
    case 'verdicts':
      return decide(studyUid, { document_uid, person, verdicts: act.verdicts, sign: false, impression: null });
  }
}

/** The sentences that verdicts were about; an added one has its number only afterwards. */
function numbersOf(verdicts: readonly Verdict[], before: Report | null, after: Report): number[] {
  const known = new Set(before?.findings.map(each => each.number));
  const added = after.findings.map(each => each.number).filter(number => !known.has(number));
  return verdicts.flatMap(each => (each.verdict === 'add' ? added : [each.number]));
}

/** What a reload of the page would lose: it waits, held, for this tab. */
function unsent(studyUid: string): Waiting[] {
  const queue = kept<Waiting[]>(unsentOf(studyUid)) ?? [];
  return queue.map(each => ({ ...each, held: { kind: 'away', why: 'The page was loaded anew before this was stored.' } }));
}

function unsentOf(studyUid: string): string {
  return `unsent ${studyUid}`;
}

/** Whether a verdict that is on its way is on this sentence. */
export function isAbout({ act }: Waiting, number: number): boolean {
  return act.kind === 'verdicts' && act.verdicts.some(each => each.verdict !== 'add' && each.number === number);
}
