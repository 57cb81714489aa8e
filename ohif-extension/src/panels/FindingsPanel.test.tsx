/** @vitest-environment jsdom */
/** What a radiologist sees and does in the panel, against a server that speaks the contract. */

import { cleanup, configure, fireEvent, render, screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import axe from 'axe-core';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { Keys, type Command } from '../services/keys';
import { storeReader } from '../services/reader';
import type { Statement } from '../services/reports';
import { CONTRACT, Images, MOMENT, StandIn } from '../standin';
import { StudyPanel } from './FindingsPanel';

const { report } = CONTRACT;
const NODULE = 'There is a nodule in the right lung.';
const CURIE = { family: 'Curie', given: 'Marie', organization: 'Institut' };

// A busy machine is no failure, and jsdom is slow to say what is hidden.
configure({ asyncUtilTimeout: 20_000, defaultHidden: true, getElementError: message => new Error(message ?? '') });

let api: StandIn;
let images: Images;
let keys: Keys;

beforeEach(async () => {
  api = await new StandIn().start();
  images = new Images();
  keys = new Keys();
  storeReader(CURIE);
});

afterEach(async () => {
  cleanup();
  localStorage.clear();
  sessionStorage.clear();
  await api.stop();
});

/** The panel with the report on it. */
async function open(): Promise<HTMLElement> {
  const { container } = render(<StudyPanel studyUid={CONTRACT.study_uid} places={images} keys={keys} />);
  if (api.study?.report) {
    await screen.findByText(api.study.report.impression);
  }
  return container;
}

function press(...commands: Command[]): void {
  commands.forEach(command => keys.press(command));
}

/** The button of a sentence. */
function sentence(words: string): HTMLElement {
  const all = [...document.querySelectorAll<HTMLElement>('.sightline-sentence')];
  return all.find(each => each.textContent!.includes(words)) ?? expect.fail(`no sentence: ${words}`);
}

function row(words: string): HTMLElement {
  return sentence(words).closest('li')!;
}

/** Until as many sentences as given are marked so. */
async function marked(judgement: 'accepted' | 'edited' | 'added', count = 1): Promise<void> {
  const marks = () => [...document.querySelectorAll('.sightline-decided')].filter(each => each.textContent === judgement);
  await waitFor(() => expect(marks()).toHaveLength(count));
}

const verdicts = () => api.posted.flatMap(({ body }) => (body as { verdicts?: unknown[] }).verdicts ?? []);

test('every sentence, flag and withheld statement is shown under the notice, as a draft, by urgency', async () => {
  const page = await open();
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
  await open();
  await userEvent.click(sentence(NODULE));
  const [first, second] = report.findings[1]!.places;
  expect(images.did).toContain(`light ${first!.tracking_uid}`);
  expect(images.did).toContain('go to 2.25.2000 slice 1 in #ffdd33');
  await userEvent.click(within(row(NODULE)).getByRole('button', { name: /Place 2/ }));
  expect(images.did).toContain(`light ${second!.tracking_uid}`);
  images.did = [];
  press('sightlinePrevious');
  expect(images.did.filter(each => each.startsWith('go to'))).toEqual([]);
  expect(within(row('pleural effusion cannot')).getByText(/no place/)).toBeDefined();
});

test('hovering a sentence previews its place, and a click on a mask lights its sentence', async () => {
  await open();
  fireEvent.pointerEnter(row(NODULE));
  expect(images.did.at(-1)).toBe(`preview ${report.findings[1]!.places[0]!.tracking_uid}`);
  fireEvent.pointerLeave(row(NODULE));
  expect(images.did.at(-1)).toBe('no preview');
  images.click(report.findings[0]!.places[0]!.tracking_uid);
  await waitFor(() => expect(sentence('The right lung is seen').getAttribute('aria-current')).toBe('true'));
});

test('two keys judge a finding: J and A', async () => {
  await open();
  press('sightlineNext', 'sightlineAccept');
  await marked('accepted');
  expect(verdicts()).toEqual([{ verdict: 'accept', number: 4 }]);
  const { body } = api.posted[0]! as { body: { document_uid: string; person: object } };
  expect(body.document_uid).toBe(report.document_uid);
  expect(body.person).toEqual({ name: 'Curie^Marie', organization: 'Institut', login: '' });
  await waitFor(() => expect(images.did).toContain('refresh'));
});

test('verdicts that are given faster than they are stored follow upon each other', async () => {
  await open();
  press('sightlineNext', 'sightlineAccept', 'sightlineNext', 'sightlineAccept', 'sightlineNext', 'sightlineAccept');
  await marked('accepted', 3);
  const documents = api.posted.map(({ body }) => (body as { document_uid: string }).document_uid);
  expect(documents).toEqual([report.document_uid, '2.25.92', '2.25.93']);
});

test('X and a digit reject with a reason, and U brings the sentence back', async () => {
  await open();
  await userEvent.click(sentence(NODULE));
  press('sightlineReject');
  await screen.findByRole('group', { name: /Reject/ });
  await userEvent.keyboard('3');
  await screen.findByText(/Sentence 2: wrong side, Marie Curie/);
  expect(verdicts()).toEqual([{ verdict: 'reject', number: 2, reason: 'wrong side' }]);
  expect(document.activeElement?.textContent).toContain('Surgical clips'); // the keyboard goes on from here
  press('sightlineUndo');
  await waitFor(() => sentence(NODULE));
  expect(verdicts().at(-1)).toEqual({ verdict: 'restore', number: 2, version: 1 });
});

test('after a reload a verdict of before can be undone: the history says what stood there', async () => {
  await open();
  press('sightlineNext', 'sightlineAccept', 'sightlineNext', 'sightlineAccept');
  await marked('accepted', 2);
  cleanup();
  await open();
  press('sightlineNext', 'sightlineUndo');
  await waitFor(() => expect(verdicts().at(-1)).toEqual({ verdict: 'restore', number: 4, version: 1 }));
  await marked('accepted', 1);
});

test('an edit changes words and side, and takes a box as the viewer left it', async () => {
  await open();
  await userEvent.click(sentence(NODULE));
  press('sightlineEdit');
  const form = within(await screen.findByRole('form', { name: 'Edit' }));
  await userEvent.clear(form.getByLabelText('Sentence'));
  await userEvent.type(form.getByLabelText('Sentence'), 'There is a nodule in the left lung.');
  await userEvent.selectOptions(form.getByLabelText('Side'), 'left');
  await userEvent.click(form.getByRole('button', { name: 'Brush: Place 1' }));
  expect(images.did).toContain(`brush for ${report.findings[1]!.places[0]!.tracking_uid}`);
  await userEvent.click(form.getByRole('button', { name: 'Remove Place 3' }));
  await userEvent.click(form.getByRole('button', { name: 'Save' }));
  await marked('edited');
  const [first, second] = report.findings[1]!.places;
  expect(verdicts()).toEqual([
    {
      verdict: 'edit',
      number: 2,
      sentence: 'There is a nodule in the left lung.',
      name: 'nodule',
      presence: 'present',
      side: 'left',
      places: [
        { tracking_uid: first!.tracking_uid, series_uid: '2.25.2000', start: [1, 2, 3], stop: [2, 4, 6], mask: 'gA==' },
        { tracking_uid: second!.tracking_uid },
      ],
    },
  ]);
});

test('a missed finding is added with what was drawn, and undone', async () => {
  await open();
  press('sightlineAdd');
  const form = within(await screen.findByRole('form', { name: 'Add a finding' }));
  await userEvent.type(form.getByLabelText('Sentence'), 'A small mass.');
  await userEvent.type(form.getByLabelText('Name'), 'mass');
  await userEvent.click(form.getByRole('button', { name: 'Box: New place' }));
  await userEvent.click(form.getByRole('button', { name: 'Save' }));
  await screen.findByText(/Nothing is drawn yet/);
  images.drawnPlace = { tracking_uid: null, series_uid: '2.25.2000', start: [0, 1, 2], stop: [1, 5, 6], mask: null };
  await userEvent.click(form.getByRole('button', { name: 'Save' }));
  await marked('added');
  expect(verdicts()[0]).toEqual({ verdict: 'add', sentence: 'A small mass.', name: 'mass', presence: 'present', side: null, places: [images.drawnPlace] });
  await userEvent.click(screen.getByRole('button', { name: 'Undo (U)' }));
  await marked('added', 0);
  expect(verdicts().at(-1)).toEqual({ verdict: 'restore', number: 99, version: 1 });
});

test('a report is signed only when every sentence is decided, and then says by whom', async () => {
  await open();
  press('sightlineSign');
  await screen.findByText(/6 sentences are not decided yet/);
  expect(screen.getByRole<HTMLButtonElement>('button', { name: 'Sign' }).disabled).toBe(true);
  press(...Array.from({ length: 5 }, () => ['sightlineNext', 'sightlineAccept'] as const).flat());
  await marked('accepted', 5);
  await userEvent.click(within(screen.getByRole('heading', { name: /Structures/ })).getByRole('button', { name: 'Accept it' }));
  await screen.findByText('All decided');
  press('sightlineSign');
  await userEvent.keyboard('{Enter}');
  await screen.findByText(/Signed by Marie Curie, Institut/);
  expect(api.posted.at(-1)!.body).toMatchObject({ sign: true, verdicts: [], impression: null });
  expect(screen.queryByText('AI draft')).toBeNull();
});

test('who was second is told who was first, sees the report now, and can give the verdict again', async () => {
  await open();
  const conflict = { detail: 'Changed.', document_uid: '2.25.92', person: { name: 'Bohr^Niels', organization: 'Institut' }, moment: MOMENT };
  api.problems.push({ status: 409, body: conflict });
  await userEvent.click(sentence(NODULE));
  api.overtake(each => (each.findings[2]!.sentence = 'No pneumothorax on either side.'));
  press('sightlineAccept');
  await screen.findByText(/Niels Bohr changed this report at/);
  await screen.findByText(/No pneumothorax on either side/);
  await marked('accepted', 0);
  await userEvent.click(screen.getByRole('button', { name: 'Send again' }));
  await marked('accepted');
  expect(api.posted.at(-1)!.body).toMatchObject({ document_uid: '2.25.92', verdicts: [{ verdict: 'accept', number: 2 }] });
});

test('a verdict is not lost with the network: it waits in sight and is sent again', async () => {
  await open();
  await api.stop();
  press('sightlineNext', 'sightlineAccept');
  await screen.findByText(/Nothing is lost/);
  await screen.findByText(/cannot be reached; what is shown may be old/);
  expect(screen.getByText('Not stored')).toBeDefined();
  cleanup(); // the page is reloaded
  await api.start();
  await open();
  await screen.findByText(/The page was loaded anew before this was stored/);
  await userEvent.click(screen.getByRole('button', { name: 'Send again' }));
  await marked('accepted');
});

test('a verdict that the API does not take is said, and can be dropped', async () => {
  await open();
  api.problems.push({ status: 422, body: { detail: 'The box is outside the image.' } });
  press('sightlineNext', 'sightlineAccept');
  await screen.findByText('The box is outside the image.');
  await userEvent.click(screen.getByRole('button', { name: /^Drop/ }));
  expect(screen.queryByText('The box is outside the image.')).toBeNull();
});

test('the whole report is taken back with a reason', async () => {
  await open();
  await userEvent.click(screen.getByRole('button', { name: 'Take back' }));
  await userEvent.keyboard('1');
  await screen.findByText(/No report: Marie Curie took it back on .*false positive/);
  expect(screen.queryByText(NODULE)).toBeNull();
});

test('the name is asked once, before the first verdict, which is not lost by it', async () => {
  localStorage.clear();
  await open();
  press('sightlineNext', 'sightlineAccept');
  const form = within(await screen.findByRole('form', { name: 'Who judges' }));
  await userEvent.type(form.getByLabelText('Family name'), 'Curie');
  await userEvent.type(form.getByLabelText('Organization'), 'Institut{Enter}');
  await marked('accepted');
  expect(api.posted[0]!.body).toMatchObject({ person: { name: 'Curie', organization: 'Institut' } });
  press('sightlineNext', 'sightlineAccept');
  await marked('accepted', 2);
});

test('the version of somebody else appears by itself, on the panel and on the images', async () => {
  await open();
  await waitFor(() => expect(api.state()).toBeDefined());
  api.overtake(each => (each.findings[1]!.sentence = 'A nodule of 6 mm.'));
  await screen.findByText('A nodule of 6 mm.');
  expect(images.did).toContain('refresh');
});

test('a reading that is under way shows how far it is, and its result when it is there', async () => {
  api.study = { ...CONTRACT, state: 'running', report: null };
  render(<StudyPanel studyUid={CONTRACT.study_uid} places={images} keys={keys} />);
  await screen.findByText(/The reading is under way/);
  await waitFor(() => expect(api.state()).toBeDefined());
  api.tell('study', api.state({ progress: { share: 0.375, doing: 'Slice 3 of 8' } }));
  await screen.findByText(/Slice 3 of 8/);
  expect(screen.getByRole<HTMLProgressElement>('progressbar').value).toBe(0.375);
  api.study = structuredClone(CONTRACT);
  api.tell('study', api.state());
  await screen.findByText(report.impression);
  expect(images.did).toContain('refresh');
});

test('an answer is a draft until it is kept as a finding', async () => {
  await open();
  press('sightlineAsk');
  await userEvent.keyboard('segment the left lower lobe{Enter}');
  await screen.findByText(/waits for its turn/);
  expect(api.posted[0]!.body).toMatchObject({ kind: 'segment', words: 'segment the left lower lobe', series_uid: '2.25.2000', slice: 1, points: [], box: null });
  const place = { series_uid: '2.25.2000', instance_uid: '1', start: [1, 2, 3] as [number, number, number], stop: [2, 4, 6] as [number, number, number], mask: 'gA==', score: 0.9 };
  api.reply(api.questions[0]!, { sentence: 'The left lower lobe.', places: [place] });
  await screen.findByText('The left lower lobe.');
  expect(images.did).toContain('draft of 1');
  await userEvent.click(screen.getByRole('button', { name: 'Keep' }));
  await userEvent.click(within(screen.getByRole('form', { name: 'Add a finding' })).getByRole('button', { name: 'Save' }));
  expect(images.did).toContain('no draft');
  await marked('added');
  const { score: _, instance_uid: __, ...kept } = place;
  expect(verdicts()[0]).toMatchObject({ verdict: 'add', sentence: 'The left lower lobe.', places: [kept] });
});

test('what is pointed at is asked about, and a further point refines the answer', async () => {
  await open();
  images.pointed = { series_uid: '2.25.3000', slice: 0, row: 7, column: 8 };
  await userEvent.click(screen.getByRole('button', { name: 'Point' }));
  await screen.findByText(/Slice 1: 1 point/);
  await userEvent.click(screen.getByRole('button', { name: 'What is this?' }));
  await waitFor(() => expect(api.posted[0]?.body).toMatchObject({ kind: 'what', slice: 0, points: [{ row: 7, column: 8, positive: true }], follows: null }));
  api.reply(api.questions[0]!, { sentence: 'A rib.', cited: { top: 1, left: 2, bottom: 3, right: 4 } });
  await screen.findByText('A rib.');
  expect(images.did).toContain('draft of 1');
  await userEvent.click(screen.getByRole('button', { name: '− Point' }));
  await waitFor(() => expect(api.posted[1]?.body).toMatchObject({ kind: 'segment', points: [{ row: 7, column: 8, positive: false }], follows: 1 }));
});

test('the steps of the reading are played in order, and Escape stops them', async () => {
  const look = { series_uid: '2.25.2000', instance_uid: '2.25.2000.1.1', start: [0, 1, 1], stop: [1, 3, 3] };
  api.study!.thinking = [{ ...look, words: 'I look at the lungs.' }, { ...look, words: 'Then at the heart.' }] as typeof CONTRACT.thinking;
  vi.stubGlobal('matchMedia', () => ({ matches: true }));
  await open();
  press('sightlinePlay');
  await screen.findByText('I look at the lungs.');
  await userEvent.click(screen.getByRole('button', { name: 'Next' }));
  await screen.findByText('Then at the heart.');
  expect(images.did.filter(each => each.startsWith('go to'))).toHaveLength(2);
  await userEvent.keyboard('{Escape}');
  expect(screen.queryByText('Then at the heart.')).toBeNull();
});

test('the panel can be walked with the keyboard: one stop in the list, arrows in it', async () => {
  await open();
  const sentences = [...document.querySelectorAll<HTMLElement>('.sightline-sentence')];
  sentences[0]!.focus();
  await userEvent.keyboard('{ArrowDown}{ArrowDown}');
  expect(document.activeElement?.textContent).toContain('Surgical clips');
  expect(sentences.filter(each => each.tabIndex === 0)).toHaveLength(1);
});

test('sizes, scores and the model are there on demand, and the history of who decided what', async () => {
  await open();
  press('sightlineNext', 'sightlineNext', 'sightlineAccept');
  await marked('accepted');
  const details = within(row(NODULE));
  await userEvent.click(details.getByText('Details'));
  expect(details.getByText(/long axis 7.54 mm, short axis 3.02 mm/)).toBeDefined();
  expect(details.getByText(/weights 5e5e5e5e5e5e/)).toBeDefined();
  await userEvent.click(screen.getByRole('button', { name: 'History' }));
  await screen.findByText(`Marie Curie accepted “${NODULE}”`);
});

test('a result of another version is shown as far as it is understood', async () => {
  const statement = { number: 1, sentence: 'Something new.', presence: 'perhaps', urgency: 'yesterday', places: [] } as unknown as Statement;
  const { document_uid, version, model, moment, started } = report;
  api.study = { study_uid: CONTRACT.study_uid, state: 'pondering', report: { document_uid, version, model, moment, started, outcome: 'odd', findings: [statement] } } as never;
  render(<StudyPanel studyUid={CONTRACT.study_uid} places={images} keys={keys} />);
  await screen.findByText('Something new.');
  expect(screen.getByText(/pondering/)).toBeDefined();
  expect(screen.getByText(/The reading ended: odd/)).toBeDefined();
});

test('sixty findings stay one list that is walked through', async () => {
  const many = Array.from({ length: 60 }, (_, index) => ({ ...report.findings[1]!, number: index + 1, sentence: `Nodule ${index + 1}.` }));
  api.study!.report!.findings = many;
  await open();
  expect(screen.getByRole('heading', { name: 'Routine (60)' })).toBeDefined();
  press(...Array.from({ length: 60 }, () => 'sightlineNext' as const));
  await waitFor(() => expect(row('Nodule 60').className).toContain('sightline-current'));
});

test('axe finds nothing to object to, in any form of the panel', async () => {
  const page = await open();
  const look = async () => {
    const { violations } = await axe.run(page, { rules: { 'color-contrast': { enabled: false }, region: { enabled: false } } });
    return violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`);
  };
  expect(await look()).toEqual([]);
  for (const command of ['sightlineNext', 'sightlineEdit', 'sightlineReject', 'sightlineHelp'] as const) {
    press(command);
    await waitFor(() => undefined);
    expect(await look()).toEqual([]);
  }
}, 30_000);
