/** A radiologist's decision, on its way to Sightline. */

import type { components } from '../types';
import { call, ofStudy, type Away, type Reply } from './api';
import { readStudy, type StudyReport } from './reports';

export type Verdict = components['schemas']['DecisionIn']['verdicts'][number];
export type DecisionIn = components['schemas']['DecisionIn'];
export type Reason = components['schemas']['Reason'];

/** In the order of their keys: 1 to 5. */
export const REASONS: readonly Reason[] = ['false positive', 'wrong place', 'wrong side', 'wording', 'not relevant'];

/** What became of a decision: whatever is not `stored` changed nothing. */
export type Stored =
  | { kind: 'stored'; study: StudyReport }
  | { kind: 'overtaken'; name: string; moment: string }
  | { kind: 'refused'; why: string }
  | Away;

export async function decide(studyUid: string, decision: DecisionIn): Promise<Stored> {
  return became(await call<StudyReport>(ofStudy(studyUid, '/decisions'), { post: decision }));
}

/** Take the whole report back. */
export async function takeBack(studyUid: string, rejection: components['schemas']['RejectionIn']): Promise<Stored> {
  return became(await call<StudyReport>(ofStudy(studyUid, '/rejection'), { post: rejection }));
}

function became(reply: Reply<StudyReport>): Stored {
  if (reply.kind === 'ok') {
    const study = readStudy(reply.body);
    return study ? { kind: 'stored', study } : { kind: 'away', why: 'Sightline answers in words of another version.' };
  }
  if (reply.kind === 'away') {
    return reply;
  }
  const { person, moment } = reply.problem as { person?: { name?: string }; moment?: string };
  if (reply.status === 409) {
    return { kind: 'overtaken', name: person?.name ?? '', moment: moment ?? '' };
  }
  return { kind: 'refused', why: reply.detail };
}
