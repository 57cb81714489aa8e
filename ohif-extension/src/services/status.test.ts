/** Whatever state a study is in, the panel says it; only a report that speaks for itself needs no words above it. */

import { expect, test } from 'vitest';

import { CONTRACT } from '../standin';
import type { Away } from './api';
import type { StudyState } from './events';
import type { Answer, Report, StudyReport } from './reports';
import { statusOf } from './status';

const known = (change: Partial<StudyReport>): Answer => ({ kind: 'known', study: { ...CONTRACT, ...change } });
const ended = (outcome: Report['outcome']): Answer => known({ report: { ...CONTRACT.report, outcome } });
const words = (answer: Answer | null, away: Away | null = null, live: StudyState | null = null) =>
  statusOf(answer, away, live).map(each => `${each.tone}: ${each.words}`.trim());

test('a report with findings speaks for itself', () => {
  expect(words(known({}))).toEqual([]);
});

test.each<[string, Answer | null, RegExp]>([
  ['nothing heard yet', null, /^busy: Asking/],
  ['not known', { kind: 'unknown' }, /^warning: This study was not read by AI/],
  ['away', { kind: 'away', why: 'Sightline does not answer.' }, /^alert: No report can be shown now. Sightline does not answer/],
  ['arriving', known({ state: 'arriving', report: null }), /^busy: The images are arriving/],
  ['queued', known({ state: 'queued', report: null }), /^busy: The reading waits/],
  ['running', known({ state: 'running', report: null }), /^busy: The reading is under way/],
  ['refused', known({ state: 'refused', report: null, reason: 'A slice is missing.' }), /^alert: Not read. A slice is missing/],
  ['failed', known({ state: 'failed', report: null, reason: 'Out of memory.' }), /^alert: The reading failed. Out of memory/],
  [
    'taken back',
    known({
      report: null,
      taken_back: {
        number: 0,
        reason: 'wording',
        person: { name: 'Curie^Marie', organization: '', login: '' },
        moment: '2026-03-04T15:06:07Z',
      },
    }),
    /^alert: No report: Marie Curie took it back on .*wording/,
  ],
  ['done without a report', known({ report: null, reason: '' }), /^alert: No report/],
  ['nothing found', ended('nothing found'), /^warning: The AI found nothing abnormal. That is not a normal study/],
  ['withheld', ended('withheld'), /^warning: .*withheld/],
  ['partly read', ended('partly read'), /^alert: Only a part/],
  ['not read', ended('not read'), /^alert: This study could not be read/],
])('%s', (_, answer, expected) => {
  expect(words(answer)[0]).toMatch(expected);
});

test('a report of before stays while a newer reading runs or has failed, and both are said', () => {
  expect(words(known({ state: 'running' }))).toEqual(['busy: A newer reading is under way. Stored and found by query.']);
  expect(words(known({ state: 'failed', reason: 'Late images.' }))).toEqual(['alert: A newer reading failed. Late images.']);
});

test('what Sightline says by itself is newer than its answer', () => {
  const live = { state: 'running', reason: '', progress: { share: 0.5, doing: 'Slice 4 of 8' } } as StudyState;
  expect(statusOf(known({ state: 'queued', report: null }), null, live)).toEqual([
    { tone: 'busy', words: 'The reading is under way. Slice 4 of 8', progress: 0.5 },
  ]);
});

test('that Sightline is away is said above what was known', () => {
  expect(words(ended('withheld'), { kind: 'away', why: 'Sightline does not answer.' })).toEqual([
    expect.stringMatching(/^alert: .*may be old/),
    expect.stringMatching(/^warning/),
  ]);
});

test('a session that has ended asks to sign in, and says that nothing is lost', () => {
  const away: Away = { kind: 'away', why: 'Your session has ended.', isSignedOut: true };
  expect(statusOf(known({}), away, null)).toEqual([
    { tone: 'alert', words: expect.stringMatching(/^Your session has ended\. .*stays here/), isSignedOut: true },
  ]);
  expect(statusOf(away, away, null)).toEqual([
    { tone: 'alert', words: 'Your session has ended. No report can be shown now.', isSignedOut: true },
  ]);
});
