/** A conversation about an image: what is asked, what is pointed at, and the answer until it is kept or discarded. */

import type { Question } from './events';
import type { BoxOnSlice, Places, PointOnSlice } from './places';
import { ask, askedBefore, type QuestionIn } from './questions';
import { personOf, type Reader } from './reader';
import { Store } from './store';

const LOOK_AGAIN_MS = 5000;

/** Where the reader pointed, on one slice of one series. */
export interface Prompt {
  series_uid: string;
  slice: number;
  points: { row: number; column: number; positive: boolean }[];
  box: { top: number; left: number; bottom: number; right: number } | null;
}

export type Pointer = 'point' | 'minus' | 'box';

interface State {
  /** Everything that was asked about the study, the oldest first. */
  questions: Question[];
  /** Id of the question whose answer is on the screen. */
  shown: number | null;
  prompt: Prompt | null;
  /** What the reader is about to point with. */
  picking: Pointer | null;
  /** Why the last question could not be asked. */
  why: string;
}

export class Asking extends Store<State> {
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly studyUid: string,
    private readonly places: Places
  ) {
    super({ questions: [], shown: null, prompt: null, picking: null, why: '' });
  }

  /** Learn of everything that was asked; again soon while an answer is waited for, should nobody tell of it. */
  async look(): Promise<void> {
    clearTimeout(this.timer);
    const reply = await askedBefore(this.studyUid);
    if (reply.kind === 'ok' && Array.isArray(reply.body)) {
      reply.body.forEach(question => this.hear(question));
    }
    this.wait();
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  get current(): Question | null {
    const { questions, shown } = this.get();
    return questions.find(each => each.question_id === shown) ?? null;
  }

  /** Let the reader point at the image; the new mark joins those on the same slice. Returns whether one was made. */
  async pick(kind: Pointer): Promise<boolean> {
    this.set({ picking: kind, why: '' });
    const mark = kind === 'box' ? await this.places.pick(kind) : await this.places.pick(kind);
    this.set({ picking: null });
    if (mark) {
      this.set({ prompt: marked(this.get().prompt, mark, kind !== 'minus') });
    }
    return mark !== null;
  }

  /** Point at a place of the report. */
  mark({ series_uid, start, stop }: { series_uid: string; start: readonly number[]; stop: readonly number[] }): void {
    const slice = Math.floor((start[0]! + stop[0]!) / 2);
    this.set({ prompt: { series_uid, slice, points: [], box: { top: start[1]!, left: start[2]!, bottom: stop[1]!, right: stop[2]! } } });
  }

  unmark(): void {
    this.set({ prompt: null });
  }

  /** Ask about what was pointed at, or else about the slice on the screen. */
  async ask(kind: 'segment' | 'what', words: string, throughSlices: boolean, reader: Reader): Promise<void> {
    const here = this.get().prompt ?? this.places.here();
    if (!here) {
      this.set({ why: 'No image is shown in the active viewport.' });
      return;
    }
    const { series_uid, slice } = here;
    const { points, box } = this.get().prompt ?? { points: [], box: null };
    await this.send({
      person: personOf(reader),
      kind,
      words,
      series_uid,
      slice,
      points,
      box,
      follows: null,
      through_slices: throughSlices,
    });
  }

  /** One more point, for or against, upon the answer that is shown. */
  async refine(kind: 'point' | 'minus', reader: Reader): Promise<void> {
    const before = this.current;
    this.set({ prompt: null });
    if (!before || !(await this.pick(kind))) {
      return;
    }
    const { series_uid, slice, points } = this.get().prompt!;
    const { words = '', through_slices = true } = before.asked;
    const follows = before.question_id;
    await this.send({ person: personOf(reader), kind: 'segment', words, series_uid, slice, points, box: null, follows, through_slices });
  }

  /** A question as Sightline knows it now. */
  hear(question: Question): void {
    if (this.learn(question) && question.question_id === this.get().shown) {
      this.draw(question);
    }
  }

  show(question: Question): void {
    this.set({ shown: question.question_id });
    this.draw(question);
  }

  /** Take the answer from the screen: it was kept, or is not wanted. It stays in the log of questions. */
  close(): void {
    this.set({ shown: null, prompt: null });
    this.places.clearDraft();
  }

  private async send(question: QuestionIn): Promise<void> {
    this.set({ why: '' });
    const reply = await ask(this.studyUid, question);
    if (reply.kind === 'ok') {
      this.set({ shown: reply.body.question_id, prompt: null });
      this.hear(reply.body);
      this.wait();
    } else {
      this.set({ why: reply.kind === 'away' ? reply.why : reply.detail });
    }
  }

  private wait(): void {
    clearTimeout(this.timer);
    if (this.current && ['queued', 'running'].includes(this.current.state)) {
      this.timer = setTimeout(() => void this.look(), LOOK_AGAIN_MS);
    }
  }

  /** An older word about a question does not replace a newer one; returns whether this one is new. */
  private learn(question: Question): boolean {
    const { questions } = this.get();
    const known = questions.find(each => each.question_id === question.question_id);
    if (known && (known.updated > question.updated || (known.updated === question.updated && known.state === question.state))) {
      return false;
    }
    this.set({
      questions: [...questions.filter(each => each !== known), question].sort((left, right) => left.question_id - right.question_id),
    });
    return true;
  }

  private draw(question: Question): void {
    if (question.answer) {
      void this.places.showDraft(regionsOf(question));
    }
  }
}

function marked(prompt: Prompt | null, mark: PointOnSlice | BoxOnSlice, positive: boolean): Prompt {
  const { series_uid, slice } = mark;
  const isSame = prompt?.series_uid === series_uid && prompt.slice === slice;
  const base: Prompt = isSame ? prompt : { series_uid, slice, points: [], box: null };
  if ('top' in mark) {
    const { top, left, bottom, right } = mark;
    return { ...base, box: { top, left, bottom, right } };
  }
  return { ...base, points: [...base.points, { row: mark.row, column: mark.column, positive }] };
}

/** Where an answer is: its places, or the region that it is about. */
export function regionsOf({ answer, asked }: Question): Parameters<Places['showDraft']>[0] {
  if (!answer || answer.places.length > 0 || !answer.cited) {
    return answer?.places ?? [];
  }
  const { top, left, bottom, right } = answer.cited;
  const { series_uid, slice } = asked;
  return [{ series_uid, instance_uid: '', start: [slice, top, left], stop: [slice + 1, bottom, right], mask: null }];
}
