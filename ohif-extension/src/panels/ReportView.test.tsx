/** The panel shows everything that the API's report says; tests/contract holds the same file to the Python side. */

import { readFileSync } from 'node:fs';
import { renderToStaticMarkup } from 'react-dom/server';
import { expect, test } from 'vitest';

import { ReportView } from './ReportView';
import type { Answer, StudyReport } from '../services/reports';

const study = JSON.parse(readFileSync('../tests/contract/report.json', 'utf8')) as StudyReport;
const report = study.report!;

function shown(answer: Answer | null, isDrawn = true): string {
  const markup = renderToStaticMarkup(<ReportView answer={answer} isDrawn={isDrawn} goTo={() => undefined} />);
  return markup.replaceAll('&#x27;', "'").replaceAll('&amp;', '&').replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&gt;', '>');
}

test('every sentence, flag and withheld statement is shown, under the notice', () => {
  const page = shown({ kind: 'known', study });
  const said = [study.notice, report.impression, ...report.withheld, ...report.findings.flatMap(each => [each.sentence, ...each.flags])];
  for (const text of said) {
    expect(page.includes(text), `not shown: ${text}`).toBe(true);
  }
  expect(page.indexOf(study.notice) < page.indexOf(report.impression)).toBe(true);
  expect(page.includes('not calibrated')).toBe(true);
});

test('each place of a sentence has its own button, and a sentence without a place has none', () => {
  const places = report.findings.flatMap(each => each.places);
  expect(places.length > 1).toBe(true);
  expect(shown({ kind: 'known', study }).match(/<button/g)?.length).toBe(places.length);
});

test('a study that was refused says why, and never looks normal', () => {
  const page = shown({ kind: 'known', study: { ...study, report: null, state: 'refused', reason: 'A slice is missing.' } });
  expect(page.includes('No report: refused. A slice is missing.')).toBe(true);
  expect(page.includes('sightline-alert')).toBe(true);
});

test('a report of before is kept on the screen while a newer reading runs or has failed', () => {
  for (const state of ['running', 'failed'] as const) {
    const page = shown({ kind: 'known', study: { ...study, state, reason: 'Late images.' } });
    expect(page.includes(`A newer reading: ${state}. Late images.`)).toBe(true);
    expect(page.includes(report.findings[0]!.sentence)).toBe(true);
  }
});

test('an API that is away is said, and an unread study too', () => {
  const away = shown({ kind: 'away', why: 'Sightline does not answer.' });
  expect(away.includes('Sightline does not answer.') && away.includes('not verified')).toBe(true);
  expect(shown({ kind: 'unknown' }).includes('not read by AI')).toBe(true);
  expect(shown(null).includes('Asking')).toBe(true);
});

test('a report without findings says so', () => {
  const page = shown({ kind: 'known', study: { ...study, report: { ...report, findings: [], withheld: [] } } });
  expect(page.includes('The model stated none.')).toBe(true);
});

test('a result that came after the page was opened is offered', () => {
  expect(shown({ kind: 'known', study }, false).includes('show it on the images')).toBe(true);
  expect(!shown({ kind: 'known', study }, true).includes('show it on the images')).toBe(true);
  expect(!shown({ kind: 'known', study: { ...study, report: null } }, false).includes('show it on the images')).toBe(true);
});

test('a study that could not be read says why, and never that the model stated nothing', () => {
  const failed = { ...report, outcome: 'not read' as const, findings: [], withheld: [], impression: '', failures: ['No slice has a position.'] };
  const page = shown({ kind: 'known', study: { ...study, state: 'failed', reason: 'No slice has a position.', report: failed } });
  expect(page.includes('No report: failed.') && page.includes('Not read: No slice has a position.')).toBe(true);
  expect(!page.includes('The model stated none.')).toBe(true);
});

test('a report on a part of the images says what is missing', () => {
  const partly = { ...report, outcome: 'partly read' as const, failures: ['The lateral view is not read.'] };
  const page = shown({ kind: 'known', study: { ...study, report: partly } });
  expect(page.includes('Not read: The lateral view is not read.') && page.includes(report.findings[0]!.sentence)).toBe(true);
});

test('a signed report names who signed it', () => {
  const signed = { ...report, verified_by: { name: 'Curie^Marie', organization: 'Institut' } };
  expect(shown({ kind: 'known', study: { ...study, report: signed } }).includes('Signed by Curie^Marie, Institut')).toBe(true);
});

test('a report that was taken back is not shown, but who took it back is', () => {
  const taken_back = { number: 0, reason: 'wrong place' as const, person: { name: 'Curie^Marie', organization: '' }, moment: '2026-03-04T15:06:07Z' };
  const page = shown({ kind: 'known', study: { ...study, report: null, taken_back } });
  expect(page.includes('No report: Curie^Marie took it back') && page.includes('wrong place')).toBe(true);
});
