/** One radiologist before one study: which finding is lit, which form is open, and what keys and buttons do. */

import { Asking } from './asking';
import { GROUPS, grouped, groupOf, undecided } from './findings';
import { Judging, type Act } from './judging';
import type { Command } from './keys';
import type { DrawingTool, PlaceIn, Places } from './places';
import { Playing, type Step } from './playing';
import { askWhoIsSignedIn, storedReader, storeReader, type Reader } from './reader';
import { Reading } from './reading';
import type { Look, Place, Report, Statement } from './reports';
import { Store } from './store';
import { Typed } from './typed';
import type { Reason } from './verdicts';

export type Form = 'reject' | 'edit' | 'add' | 'sign' | 'take back' | 'reader' | 'keys' | 'history';

/** A finding in the reader's words, as a form gives it. */
export interface Draft {
  sentence: string;
  name: string;
  presence: Statement['presence'];
  side: Statement['side'];
  places: PlaceIn[];
}

/** What is taken from the images when a form is saved. */
export interface Redrawn {
  /** Tracking UIDs of the places that a tool was taken up for. */
  uids: ReadonlySet<string>;
  isNew: boolean;
}

/** What the reader's forms hold, and which of them is open with something in it. */
export interface Fields {
  form: Pick<State, 'form' | 'current' | 'areStructuresShown'>;
  draft: Draft;
  impression: string;
  question: string;
}

interface State {
  /** Number of the finding that is lit. */
  current: number | null;
  form: Form | null;
  /** What the form for a new finding starts with: an answer that is kept. */
  draft: Draft | null;
  redrawn: Redrawn;
  reader: Reader | null;
  /** Who is signed in, as their account says it; what it does not say is typed. */
  account: Reader | null;
  areOverlaysOn: boolean;
  areStructuresShown: boolean;
  /** Why the last key did nothing. */
  said: string;
}

export class Seat extends Store<State> {
  readonly reading: Reading;
  readonly judging: Judging;
  readonly asking: Asking;
  readonly playing: Playing;
  readonly typed: Typed<Fields>;
  /** Asks for the reader's attention: the panel puts the focus into the question. */
  onAsk: () => void = () => undefined;
  private met: Promise<void> = Promise.resolve();
  private pending: ((reader: Reader) => void) | null = null;
  /** Where in the order the lit finding is, or was before it was rejected. */
  private at = -1;

  constructor(
    studyUid: string,
    readonly places: Places
  ) {
    const typed = new Typed<Fields>(`typed ${studyUid}`);
    super({
      current: null,
      form: null,
      draft: null,
      redrawn: NOTHING,
      reader: storedReader(),
      account: null,
      areOverlaysOn: true,
      areStructuresShown: false,
      said: '',
      ...typed.get('form'),
    });
    this.typed = typed;
    this.reading = new Reading(studyUid, {
      version: () => void places.refresh(studyUid),
      question: question => this.asking.hear(question),
      heard: () => {
        void this.asking.look();
        void this.meet(); // somebody else may have signed in
      },
    });
    this.judging = new Judging(this.reading);
    this.asking = new Asking(studyUid, places);
    this.playing = new Playing(step => this.visit(step));
  }

  /** Live until the returned function is called. */
  start(): () => void {
    void this.meet();
    const ends = [this.reading.start(), this.places.onSelected(uid => this.light(uid))];
    return () => {
      this.playing.stop();
      this.asking.stop();
      ends.forEach(end => end());
    };
  }

  /** With a form goes what was typed and drawn for it. */
  protected override set(change: Partial<State>): void {
    const { form: before } = this.get();
    if (change.form === undefined || change.form === before) {
      super.set(change);
      return;
    }
    if (before === 'sign') {
      this.typed.forget('impression');
    }
    if (isWritten(before)) {
      this.typed.forget('form');
      this.typed.forget('draft');
      this.places.clearDrawn();
    }
    super.set({ ...change, redrawn: NOTHING });
    const { form, current, areStructuresShown } = this.get();
    if (isWritten(form)) {
      this.typed.keep('form', { form, current, areStructuresShown });
    }
  }

  get report(): Report | null {
    return this.reading.study?.report ?? null;
  }

  /** The findings as they are walked through. */
  inOrder(): Statement[] {
    const groups = this.report ? grouped(this.report) : new Map<never, Statement[]>();
    return GROUPS.filter(({ group }) => group !== 'structures' || this.get().areStructuresShown).flatMap(
      ({ group }) => groups.get(group) ?? []
    );
  }

  /** Light a finding and go to one of its places, the first where none is named. */
  choose(number: number, place?: Place): void {
    const statement = this.find(number);
    if (!statement) {
      return;
    }
    this.set({ current: number, form: null, said: '' });
    this.at = this.inOrder().findIndex(each => each.number === number);
    const target = place ?? statement.places[0];
    this.places.select(target?.tracking_uid ?? null);
    if (target) {
      void this.places.goTo(target, statement.colour);
    }
  }

  /** To the next finding, or the one before, of the one that is lit. */
  step(by: 1 | -1, from = this.get().current): void {
    const order = this.inOrder();
    const at = order.findIndex(each => each.number === from);
    const next = at >= 0 ? order[at + by] : order[Math.max(0, by > 0 ? this.at : this.at - 1)];
    if (next) {
      this.choose(next.number);
    }
  }

  accept(statements: readonly Statement[]): void {
    const open = statements.filter(each => !each.decided);
    if (open.length === 0) {
      this.set({ said: 'This is decided already.' });
      return;
    }
    const words = open.length === 1 ? `accept “${open[0]!.sentence}”` : `accept ${open.length} sentences`;
    this.give(words, { kind: 'verdicts', verdicts: open.map(({ number }) => ({ verdict: 'accept', number })) });
  }

  reject(statement: Statement, reason: Reason): void {
    this.give(`reject “${statement.sentence}”`, { kind: 'verdicts', verdicts: [{ verdict: 'reject', number: statement.number, reason }] });
  }

  edit(statement: Statement, draft: Draft): void {
    this.give(`edit “${statement.sentence}”`, { kind: 'verdicts', verdicts: [{ verdict: 'edit', number: statement.number, ...draft }] });
  }

  add(draft: Draft): void {
    if (this.get().draft) {
      this.asking.close(); // an answer is kept
    }
    this.give(`add “${draft.sentence}”`, { kind: 'verdicts', verdicts: [{ verdict: 'add', ...draft }] });
  }

  sign(impression: string): void {
    this.give('sign the report', { kind: 'signature', impression: impression === this.report?.impression ? null : impression });
  }

  takeBack(reason: Reason): void {
    this.give('take the report back', { kind: 'rejection', reason });
  }

  undo(number = this.get().current): void {
    this.asReader(reader => void this.judging.undo(number, reader));
  }

  /** Open the form for a new finding; `draft` is what it starts with. */
  draftFinding(draft: Draft | null): void {
    this.set({ form: 'add', draft });
  }

  /** Take up a tool for a place of the open form, or for a new one. */
  redraw(tool: DrawingTool, place: Place | null): void {
    const { uids, isNew } = this.get().redrawn;
    this.set({ redrawn: place ? { uids: new Set([...uids, place.tracking_uid]), isNew } : { uids, isNew: true } });
    void this.places.draw(tool, place);
  }

  open(form: Form | null): void {
    if (form === null) {
      this.pending = null;
    }
    this.set({ form, draft: null, said: '' });
  }

  /** Do something in the reader's name; the name is asked for once, and never of who is signed in. */
  asReader(act: (reader: Reader) => void): void {
    const { reader } = this.get();
    if (reader) {
      act(reader);
    } else {
      void this.met.then(() => this.askReader(act));
    }
  }

  private askReader(act: (reader: Reader) => void): void {
    const { reader } = this.get();
    if (reader) {
      act(reader);
    } else {
      this.set({ form: 'reader' });
      this.pending = act;
    }
  }

  private meet(): Promise<void> {
    this.met = askWhoIsSignedIn().then(account => {
      if (account) {
        const organization = account.organization || storedReader()?.organization || '';
        this.set({ account, reader: organization ? { ...account, organization } : null });
      }
    });
    return this.met;
  }

  become(reader: Reader): void {
    storeReader(reader);
    const act = this.pending;
    this.pending = null;
    this.set({ reader, form: null });
    act?.(reader);
  }

  play(): void {
    this.playing.start(stepsOf(this.reading.study?.thinking ?? [], this.report));
  }

  toggleOverlays(): void {
    this.set({ areOverlaysOn: this.places.toggleOverlays() });
  }

  showStructures(areStructuresShown: boolean): void {
    this.set({ areStructuresShown });
  }

  /** The series of a place in words; null where the viewer does not know it. */
  describe(place: Place): { words: string; slices: number } | null {
    return this.places.describe(place.series_uid);
  }

  async showPrior(): Promise<void> {
    if (!(await this.places.togglePrior(this.reading.studyUid))) {
      this.set({ said: 'There is no prior study of this kind.' });
    }
  }

  /** A key that was pressed anywhere in the viewer. */
  press(command: Command): void {
    const statement = this.find(this.get().current);
    switch (command) {
      case 'sightlineNext':
        return this.step(1);
      case 'sightlinePrevious':
        return this.step(-1);
      case 'sightlineAccept':
        return statement ? this.accept([statement]) : this.set({ said: CHOOSE_FIRST });
      case 'sightlineEdit':
      case 'sightlineReject':
        return statement ? this.open(command === 'sightlineEdit' ? 'edit' : 'reject') : this.set({ said: CHOOSE_FIRST });
      case 'sightlineAdd':
        return this.report ? this.draftFinding(null) : undefined;
      case 'sightlineUndo':
        return this.undo();
      case 'sightlinePlay':
        return this.playing.get().at === null ? this.play() : this.playing.pause();
      case 'sightlineSign':
        return this.signOrSay();
      case 'sightlineAsk':
        return this.onAsk();
      case 'sightlineHelp':
        return this.open(this.get().form === 'keys' ? null : 'keys');
      case 'sightlineToggleOverlays':
        return this.toggleOverlays();
      case 'sightlinePriors':
        return void this.showPrior();
    }
  }

  private signOrSay(): void {
    const left = this.report ? undecided(this.report).length : 0;
    if (!this.report || this.report.verified_by) {
      return;
    }
    if (left > 0) {
      this.set({ said: `${left === 1 ? 'One sentence is' : `${left} sentences are`} not decided yet; a report is signed when all are.` });
    } else {
      this.open('sign');
    }
  }

  private give(words: string, act: Act): void {
    this.set({ form: null, draft: null, said: '' });
    this.asReader(reader => void this.judging.give(words, act, reader));
  }

  private find(number: number | null): Statement | undefined {
    return this.report?.findings.find(each => each.number === number);
  }

  /** A box or mask was clicked on the image; the clicks of somebody who draws mean the drawing. */
  private light(trackingUid: string | null): void {
    if (isWritten(this.get().form)) {
      return;
    }
    const statement = this.report?.findings.find(each => each.places.some(place => place.tracking_uid === trackingUid));
    if (statement) {
      const areStructuresShown = this.get().areStructuresShown || groupOf(statement) === 'structures';
      this.set({ current: statement.number, form: null, areStructuresShown, said: '' });
      this.at = this.inOrder().indexOf(statement);
    }
  }

  private visit({ series_uid, instance_uid, start, stop, number }: Step): void {
    if (number !== undefined) {
      this.choose(number);
    } else if (instance_uid && start && stop) {
      void this.places.goTo({ series_uid, instance_uid, start, stop, tracking_uid: '' }, STEP_COLOUR);
    }
  }
}

/** Whether a form is one for a finding, with words and places of the reader's own. */
function isWritten(form: Form | null): boolean {
  return form === 'edit' || form === 'add';
}

const NOTHING: Redrawn = { uids: new Set(), isNew: false };
const CHOOSE_FIRST = 'Choose a finding first: J and K, or a click.';
const STEP_COLOUR = '#5acce6';

/** What the model thought, or, where it kept no thoughts, its sentences in their order. */
function stepsOf(thinking: readonly Look[], report: Report | null): readonly Step[] {
  if (thinking.length > 0 || !report) {
    return thinking;
  }
  const findings = [...report.findings].sort((left, right) => left.number - right.number);
  return findings.map(({ number, sentence }) => ({ number, words: sentence, series_uid: '', instance_uid: null, start: null, stop: null }));
}
