/** @vitest-environment jsdom */
/** Verdicts: given with a key or two, stored one upon the other, undone, signed, and never lost. */

import { screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { expect, test } from 'vitest';

import { CONTRACT, MOMENT } from '../standin';
import { NODULE, marked, row, sentence, useBench } from './bench';

const { report } = CONTRACT;
const bench = useBench();

test('two keys judge a finding: J and A', async () => {
  await bench.open();
  bench.press('sightlineNext', 'sightlineAccept');
  await marked('accepted');
  expect(bench.verdicts).toEqual([{ verdict: 'accept', number: 4 }]);
  const { body } = bench.api.posted[0]! as { body: { document_uid: string; person: object } };
  expect(body.document_uid).toBe(report.document_uid);
  expect(body.person).toEqual({ name: 'Curie^Marie', organization: 'Institut', login: '' });
  await waitFor(() => expect(bench.images.did).toContain('refresh'));
});

test('verdicts that are given faster than they are stored follow upon each other', async () => {
  await bench.open();
  bench.press('sightlineNext', 'sightlineAccept', 'sightlineNext', 'sightlineAccept', 'sightlineNext', 'sightlineAccept');
  await marked('accepted', 3);
  const documents = bench.api.posted.map(({ body }) => (body as { document_uid: string }).document_uid);
  expect(documents).toEqual([report.document_uid, '2.25.92', '2.25.93']);
});

test('X and a digit reject with a reason, and U brings the sentence back', async () => {
  await bench.open();
  await userEvent.click(sentence(NODULE));
  bench.press('sightlineReject');
  await screen.findByRole('group', { name: /Reject/ });
  await userEvent.keyboard('3');
  await waitFor(() => expect(row('').closest('.sightline-scroll')!.textContent).toContain(`${NODULE} wrong side, Marie Curie`));
  expect(bench.verdicts).toEqual([{ verdict: 'reject', number: 2, reason: 'wrong side' }]);
  expect(document.activeElement?.textContent).toContain('Surgical clips'); // the keyboard goes on from here
  bench.press('sightlineUndo');
  await waitFor(() => sentence(NODULE));
  expect(bench.verdicts.at(-1)).toEqual({ verdict: 'restore', number: 2, version: 1 });
});

test('after a reload a verdict of before can be undone: the history says what stood there', async () => {
  await bench.open();
  bench.press('sightlineNext', 'sightlineAccept', 'sightlineNext', 'sightlineAccept');
  await marked('accepted', 2);
  bench.reload();
  await bench.open();
  bench.press('sightlineNext', 'sightlineUndo');
  await waitFor(() => expect(bench.verdicts.at(-1)).toEqual({ verdict: 'restore', number: 4, version: 1 }));
  await marked('accepted', 1);
});

test('an edit changes words and side, and takes a box as the viewer left it', async () => {
  await bench.open();
  await userEvent.click(sentence(NODULE));
  bench.press('sightlineEdit');
  const form = within(await screen.findByRole('form', { name: 'Edit' }));
  await userEvent.clear(form.getByLabelText('Sentence'));
  await userEvent.type(form.getByLabelText('Sentence'), 'There is a nodule in the left lung.');
  await userEvent.selectOptions(form.getByLabelText('Side'), 'left');
  await userEvent.click(form.getByRole('button', { name: 'Brush: Place 1' }));
  expect(bench.images.did).toContain(`brush for ${report.findings[1]!.places[0]!.tracking_uid}`);
  await userEvent.click(form.getByRole('button', { name: 'Remove Place 3' }));
  await userEvent.click(form.getByRole('button', { name: 'Save' }));
  await marked('edited');
  const [first, second] = report.findings[1]!.places;
  expect(bench.verdicts).toEqual([
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
  await bench.open();
  bench.press('sightlineAdd');
  const form = within(await screen.findByRole('form', { name: 'Add a finding' }));
  await userEvent.type(form.getByLabelText('Sentence'), 'A small mass.');
  await userEvent.type(form.getByLabelText('Name'), 'mass');
  await userEvent.click(form.getByRole('button', { name: 'Box: New place' }));
  await userEvent.click(form.getByRole('button', { name: 'Save' }));
  await screen.findByText(/Nothing is drawn yet/);
  bench.images.drawnPlace = { tracking_uid: null, series_uid: '2.25.2000', start: [0, 1, 2], stop: [1, 5, 6], mask: null };
  await userEvent.click(form.getByRole('button', { name: 'Save' }));
  await marked('added');
  expect(bench.verdicts[0]).toEqual({
    verdict: 'add',
    sentence: 'A small mass.',
    name: 'mass',
    presence: 'present',
    side: null,
    places: [bench.images.drawnPlace],
  });
  await userEvent.click(screen.getByRole('button', { name: 'Undo (U)' }));
  await marked('added', 0);
  expect(bench.verdicts.at(-1)).toEqual({ verdict: 'restore', number: 99, version: 1 });
});

test('a report is signed only when every sentence is decided, and then says by whom', async () => {
  await bench.open();
  bench.press('sightlineSign');
  await screen.findByText(/6 sentences are not decided yet/);
  expect(screen.getByRole<HTMLButtonElement>('button', { name: 'Sign' }).disabled).toBe(true);
  bench.press(...Array.from({ length: 5 }, () => ['sightlineNext', 'sightlineAccept'] as const).flat());
  await marked('accepted', 5);
  await userEvent.click(within(screen.getByRole('heading', { name: /Structures/ })).getByRole('button', { name: 'Accept it' }));
  await screen.findByText('All decided');
  bench.press('sightlineSign');
  await userEvent.keyboard('{Enter}');
  await screen.findByText(/Signed by Marie Curie, Institut/);
  expect(bench.api.posted.at(-1)!.body).toMatchObject({ sign: true, verdicts: [], impression: null });
  expect(screen.queryByText('AI draft')).toBeNull();
});

test('who was second is told who was first, sees the report now, and can give the verdict again', async () => {
  await bench.open();
  const conflict = {
    detail: 'Changed.',
    document_uid: '2.25.92',
    person: { name: 'Bohr^Niels', organization: 'Institut' },
    moment: MOMENT,
  };
  bench.api.problems.push({ status: 409, body: conflict });
  await userEvent.click(sentence(NODULE));
  bench.api.overtake(each => (each.findings[2]!.sentence = 'No pneumothorax on either side.'));
  bench.press('sightlineAccept');
  await screen.findByText(/Niels Bohr changed this report at/);
  await screen.findByText(/No pneumothorax on either side/);
  await marked('accepted', 0);
  await userEvent.click(screen.getByRole('button', { name: 'Send again' }));
  await marked('accepted');
  expect(bench.api.posted.at(-1)!.body).toMatchObject({ document_uid: '2.25.92', verdicts: [{ verdict: 'accept', number: 2 }] });
});

test('a verdict is not lost with the network: it waits in sight and is sent again', async () => {
  await bench.open();
  await bench.api.stop();
  bench.press('sightlineNext', 'sightlineAccept');
  await screen.findByText(/Nothing is lost/);
  await screen.findByText(/cannot be reached; what is shown may be old/);
  expect(screen.getByText('Not stored')).toBeDefined();
  bench.reload();
  await bench.api.start();
  await bench.open();
  await screen.findByText(/The page was loaded anew before this was stored/);
  await userEvent.click(screen.getByRole('button', { name: 'Send again' }));
  await marked('accepted');
});

test('a verdict that the API does not take is said, and can be dropped', async () => {
  await bench.open();
  bench.api.problems.push({ status: 422, body: { detail: 'The box is outside the image.' } });
  bench.press('sightlineNext', 'sightlineAccept');
  await screen.findByText('The box is outside the image.');
  await userEvent.click(screen.getByRole('button', { name: /^Drop/ }));
  expect(screen.queryByText('The box is outside the image.')).toBeNull();
});

test('the whole report is taken back with a reason', async () => {
  await bench.open();
  await userEvent.click(screen.getByRole('button', { name: 'Take back' }));
  await userEvent.keyboard('1');
  await screen.findByText(/No report: Marie Curie took it back on .*false positive/);
  expect(screen.queryByText(NODULE)).toBeNull();
});

test('the name is asked once, before the first verdict, which is not lost by it', async () => {
  localStorage.clear();
  await bench.open();
  bench.press('sightlineNext', 'sightlineAccept');
  const form = within(await screen.findByRole('form', { name: 'Who judges' }));
  await userEvent.type(form.getByLabelText('Family name'), 'Curie');
  await userEvent.type(form.getByLabelText('Organization'), 'Institut{Enter}');
  await marked('accepted');
  expect(bench.api.posted[0]!.body).toMatchObject({ person: { name: 'Curie', organization: 'Institut' } });
  bench.press('sightlineNext', 'sightlineAccept');
  await marked('accepted', 2);
});
