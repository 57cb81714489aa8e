/** @vitest-environment jsdom */
/** What a radiologist reads in the panel, and how it is walked through. */

import { fireEvent, screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import axe from 'axe-core';
import { expect, test, vi } from 'vitest';

import type { Statement } from '../services/reports';
import { CONTRACT } from '../standin';
import { NODULE, marked, row, sentence, useBench } from './bench';

const { report } = CONTRACT;
const bench = useBench();

test('every sentence, flag and withheld statement is shown under the notice, as a draft, by urgency', async () => {
  const page = await bench.open();
  await userEvent.click(screen.getByRole('button', { name: /Structures \(1\)/ }));
  const said = [CONTRACT.notice, report.impression, ...report.withheld, ...report.findings.flatMap(each => [each.sentence, ...each.flags])];
  for (const text of said) {
    expect(page.textContent).toContain(text);
  }
  const titles = screen.getAllByRole('heading').map(each => each.textContent);
  expect(titles.map(each => each!.replace(/Accept.*/, ''))).toEqual([
    'Impression AI draft',
    'Urgent (1)',
    'Routine (3)',
    'Looked at, found absent (1)',
    '▾ Structures (1)',
    'Withheld',
  ]);
  expect(screen.getAllByText('AI draft')).toHaveLength(report.findings.length + 1);
});

test('a click on a sentence goes to its place and lights it; each further place has a button; one without a place goes nowhere', async () => {
  await bench.open();
  await userEvent.click(sentence(NODULE));
  const [first, second] = report.findings[1]!.places;
  expect(bench.images.did).toContain(`light ${first!.tracking_uid}`);
  expect(bench.images.did).toContain('go to 2.25.2000 slice 1 in #ffdd33');
  await userEvent.click(within(row(NODULE)).getByRole('button', { name: /Place 2/ }));
  expect(bench.images.did).toContain(`light ${second!.tracking_uid}`);
  bench.images.did = [];
  bench.press('sightlinePrevious');
  expect(bench.images.did.filter(each => each.startsWith('go to'))).toEqual([]);
  expect(within(row('pleural effusion cannot')).getByText(/no place/)).toBeDefined();
});

test('hovering a sentence previews its place, and a click on a mask lights its sentence', async () => {
  await bench.open();
  fireEvent.pointerEnter(row(NODULE));
  expect(bench.images.did.at(-1)).toBe(`preview ${report.findings[1]!.places[0]!.tracking_uid}`);
  fireEvent.pointerLeave(row(NODULE));
  expect(bench.images.did.at(-1)).toBe('no preview');
  bench.images.click(report.findings[0]!.places[0]!.tracking_uid);
  await waitFor(() => expect(sentence('The right lung is seen').getAttribute('aria-current')).toBe('true'));
});

test('the version of somebody else appears by itself, on the panel and on the images', async () => {
  await bench.open();
  await waitFor(() => expect(bench.api.state()).toBeDefined());
  bench.api.overtake(each => (each.findings[1]!.sentence = 'A nodule of 6 mm.'));
  await screen.findByText('A nodule of 6 mm.');
  expect(bench.images.did).toContain('refresh');
});

test('a reading that is under way shows how far it is, and its result when it is there', async () => {
  bench.api.study = { ...CONTRACT, state: 'running', report: null };
  await bench.open();
  await screen.findByText(/The reading is under way/);
  await waitFor(() => expect(bench.api.state()).toBeDefined());
  bench.api.tell('study', bench.api.state({ progress: { share: 0.375, doing: 'Slice 3 of 8' } }));
  await screen.findByText(/Slice 3 of 8/);
  expect(screen.getByRole<HTMLProgressElement>('progressbar').value).toBe(0.375);
  bench.api.study = structuredClone(CONTRACT);
  bench.api.tell('study', bench.api.state());
  await screen.findByText(report.impression);
  expect(bench.images.did).toContain('refresh');
});

test('the steps of the reading are played in order, and Escape stops them', async () => {
  const look = { series_uid: '2.25.2000', instance_uid: '2.25.2000.1.1', start: [0, 1, 1], stop: [1, 3, 3] };
  bench.api.study!.thinking = [
    { ...look, words: 'I look at the lungs.' },
    { ...look, words: 'Then at the heart.' },
  ] as typeof CONTRACT.thinking;
  vi.stubGlobal('matchMedia', () => ({ matches: true }));
  await bench.open();
  bench.press('sightlinePlay');
  await screen.findByText('I look at the lungs.');
  await userEvent.click(screen.getByRole('button', { name: 'Next' }));
  await screen.findByText('Then at the heart.');
  expect(bench.images.did.filter(each => each.startsWith('go to'))).toHaveLength(2);
  await userEvent.keyboard('{Escape}');
  expect(screen.queryByText('Then at the heart.')).toBeNull();
});

test('the panel can be walked with the keyboard: one stop in the list, arrows in it', async () => {
  await bench.open();
  const sentences = [...document.querySelectorAll<HTMLElement>('.sightline-sentence')];
  sentences[0]!.focus();
  await userEvent.keyboard('{ArrowDown}{ArrowDown}');
  expect(document.activeElement?.textContent).toContain('Surgical clips');
  expect(sentences.filter(each => each.tabIndex === 0)).toHaveLength(1);
});

test('sizes, scores and the model are there on demand, and the history of who decided what', async () => {
  await bench.open();
  bench.press('sightlineNext', 'sightlineNext', 'sightlineAccept');
  await marked('accepted');
  const details = within(row(NODULE));
  await userEvent.click(details.getByText('Details'));
  expect(details.getByText(/long axis 7.54 mm, short axis 3.02 mm/)).toBeDefined();
  expect(details.getByText(/weights 5e5e5e5e5e5e/)).toBeDefined();
  await userEvent.click(screen.getByRole('button', { name: 'History' }));
  await screen.findByText(`Marie Curie accepted “${NODULE}”`);
});

test('a result of another version is shown as far as it is understood', async () => {
  const statement = {
    number: 1,
    sentence: 'Something new.',
    presence: 'perhaps',
    urgency: 'yesterday',
    places: [],
  } as unknown as Statement;
  const { document_uid, version, model, moment, started } = report;
  bench.api.study = {
    study_uid: CONTRACT.study_uid,
    state: 'pondering',
    report: { document_uid, version, model, moment, started, outcome: 'odd', findings: [statement] },
  } as never;
  await bench.open();
  await screen.findByText('Something new.');
  expect(screen.getByText(/pondering/)).toBeDefined();
  expect(screen.getByText(/The reading ended: odd/)).toBeDefined();
});

test('with a prior beside it each study keeps its own panel, with what was typed, and keys go to the one in the active viewport', async () => {
  const { rerender } = await bench.beside(true);
  bench.press('sightlineAdd');
  await userEvent.type(within(await screen.findByRole('form', { name: 'Add a finding' })).getByLabelText('Sentence'), 'A mass.');
  rerender(false);
  bench.press('sightlineNext');
  rerender(true);
  expect(within(screen.getByRole('form', { name: 'Add a finding' })).getByLabelText<HTMLTextAreaElement>('Sentence').value).toBe('A mass.');
  expect(screen.getByRole('heading', { name: 'Study of 2026-03-04' })).toBeDefined();
});

test('sixty findings stay one list that is walked through', async () => {
  const many = Array.from({ length: 60 }, (_, index) => ({ ...report.findings[1]!, number: index + 1, sentence: `Nodule ${index + 1}.` }));
  bench.api.study!.report!.findings = many;
  await bench.open();
  expect(screen.getByRole('heading', { name: 'Routine (60)' })).toBeDefined();
  bench.press(...Array.from({ length: 60 }, () => 'sightlineNext' as const));
  await waitFor(() => expect(row('Nodule 60').className).toContain('sightline-current'));
});

test('axe finds nothing to object to, in the report or a form of it', async () => {
  const page = await bench.open();
  const look = async () => {
    // What needs a layout is looked at in the browser.
    const { violations } = await axe.run(page, { runOnly: ['wcag2a', 'wcag2aa'], rules: { 'color-contrast': { enabled: false } } });
    return violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`);
  };
  bench.press('sightlineNext', 'sightlineReject');
  await screen.findByRole('group', { name: /Reject/ });
  expect(await look()).toEqual([]);
  bench.press('sightlineEdit');
  await screen.findByRole('form', { name: 'Edit' });
  expect(await look()).toEqual([]);
});
