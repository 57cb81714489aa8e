/** The panel shows everything that the API's report says; tests/contract holds the same file to the Python side. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { renderToStaticMarkup } from 'react-dom/server';

import { ReportView } from '../src/panels/ReportView';
import type { Answer, StudyReport } from '../src/services/reports';

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
    assert.ok(page.includes(text), `not shown: ${text}`);
  }
  assert.ok(page.indexOf(study.notice) < page.indexOf(report.impression));
  assert.ok(page.includes('not calibrated'));
});

test('each place of a sentence has its own button, and a sentence without a place has none', () => {
  const places = report.findings.flatMap(each => each.places);
  assert.ok(places.length > 1);
  assert.equal(shown({ kind: 'known', study }).match(/<button/g)?.length, places.length);
});

test('a study that was refused says why, and never looks normal', () => {
  const page = shown({ kind: 'known', study: { ...study, report: null, state: 'refused', reason: 'A slice is missing.' } });
  assert.ok(page.includes('No report: refused. A slice is missing.'));
  assert.ok(page.includes('sightline-alert'));
});

test('a report of before is kept on the screen while a newer reading runs or has failed', () => {
  for (const state of ['running', 'failed'] as const) {
    const page = shown({ kind: 'known', study: { ...study, state, reason: 'Late images.' } });
    assert.ok(page.includes(`A newer reading: ${state}. Late images.`));
    assert.ok(page.includes(report.findings[0]!.sentence));
  }
});

test('an API that is away is said, and an unread study too', () => {
  const away = shown({ kind: 'away', why: 'Sightline does not answer.' });
  assert.ok(away.includes('Sightline does not answer.') && away.includes('not verified'));
  assert.ok(shown({ kind: 'unknown' }).includes('not read by AI'));
  assert.ok(shown(null).includes('Asking'));
});

test('a report without findings says so', () => {
  const page = shown({ kind: 'known', study: { ...study, report: { ...report, findings: [], withheld: [] } } });
  assert.ok(page.includes('The model stated none.'));
});

test('a result that came after the page was opened is offered', () => {
  assert.ok(shown({ kind: 'known', study }, false).includes('show it on the images'));
  assert.ok(!shown({ kind: 'known', study }, true).includes('show it on the images'));
  assert.ok(!shown({ kind: 'known', study: { ...study, report: null } }, false).includes('show it on the images'));
});

test('a study that could not be read says why, and never that the model stated nothing', () => {
  const failed = { ...report, outcome: 'not read' as const, findings: [], withheld: [], impression: '', failures: ['No slice has a position.'] };
  const page = shown({ kind: 'known', study: { ...study, state: 'failed', reason: 'No slice has a position.', report: failed } });
  assert.ok(page.includes('No report: failed.') && page.includes('Not read: No slice has a position.'));
  assert.ok(!page.includes('The model stated none.'));
});

test('a report on a part of the images says what is missing', () => {
  const partly = { ...report, outcome: 'partly read' as const, failures: ['The lateral view is not read.'] };
  const page = shown({ kind: 'known', study: { ...study, report: partly } });
  assert.ok(page.includes('Not read: The lateral view is not read.') && page.includes(report.findings[0]!.sentence));
});

test('a signed report names who signed it', () => {
  const signed = { ...report, verified_by: { name: 'Curie^Marie', organization: 'Institut' } };
  assert.ok(shown({ kind: 'known', study: { ...study, report: signed } }).includes('Signed by Curie^Marie, Institut'));
});

test('a report that was taken back is not shown, but who took it back is', () => {
  const taken_back = { number: 0, reason: 'wrong place' as const, person: { name: 'Curie^Marie', organization: '' }, moment: '2026-03-04T15:06:07Z' };
  const page = shown({ kind: 'known', study: { ...study, report: null, taken_back } });
  assert.ok(page.includes('No report: Curie^Marie took it back') && page.includes('wrong place'));
});
