/** What a radiologist asks about an image, and what the assistant answers. */

import type { components } from '../types';
import { call, ofStudy, type Reply } from './api';
import type { Question } from './events';

export type QuestionIn = components['schemas']['QuestionIn'];
export type Answered = components['schemas']['Answer'];

export function ask(studyUid: string, question: QuestionIn): Promise<Reply<Question>> {
  return call<Question>(ofStudy(studyUid, '/questions'), { post: question });
}

/** Everything that was asked about the study. */
export function askedBefore(studyUid: string): Promise<Reply<Question[]>> {
  return call<Question[]>(ofStudy(studyUid, '/questions'));
}
