/** What the study list says of a study can not be taken for something else. */

import { expect, test } from 'vitest';

import type { components } from '../types';
import { Worklist, inWords } from './worklist';

type StudyState = components['schemas']['StudyState'];

const state = (change: Partial<StudyState>): StudyState => ({
  study_uid: '1.2',
  state: 'done',
  reason: '',
  progress: null,
  outcome: 'found',
  findings: 2,
  signed: false,
  document_uid: '1.3',
  version: 1,
  ...change,
});

test.each([
  [undefined, ''],
  [state({ state: null, outcome: null }), ''],
  [state({ state: 'queued', outcome: null }), 'Queued'],
  [state({ state: 'running', progress: { share: 0.404, doing: 'Slice 3 of 8' } }), 'Reading 40 %'],
  [state({}), '2 findings'],
  [state({ findings: 1 }), '1 finding'],
  [state({ signed: true }), 'Signed'],
  [state({ outcome: 'nothing found', findings: 0 }), 'Nothing found'],
  [state({ outcome: 'withheld' }), 'Withheld'],
  [state({ outcome: 'partly read', findings: 3 }), 'Partly read, 3 findings'],
  [state({ outcome: 'not read' }), 'Not read'],
  [state({ state: 'failed', reason: 'No slice has a position.' }), 'Failed'],
  [state({ outcome: null }), 'No report'],
])('%j is said as "%s"', (said, words) => {
  expect(inWords(said).words).toBe(words);
});

test('a failure says why, and a study that was never read is not said to be normal', () => {
  expect(inWords(state({ state: 'failed', reason: 'No slice has a position.' })).title).toBe('No slice has a position.');
  expect(inWords(undefined).title).toBe('Not read by AI');
});

test('our column stands before the last one, and once', () => {
  const worklist = new Worklist();
  const columns = ['patient', 'description', 'actions'].map(id => ({ id, header: id }));
  const ids = worklist.withColumn(worklist.withColumn(columns)).map(each => each.id);
  expect(ids).toEqual(['patient', 'description', 'sightline', 'actions']);
});
