/** @vitest-environment jsdom */
/** What is typed into a form is there until it is saved or cancelled, whatever becomes of the panel and the page. */

import { cleanup, screen, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { expect, test } from 'vitest';

import { CONTRACT } from '../standin';
import { NODULE, marked, sentence, useBench } from './bench';

const bench = useBench();
const form = async (name: string) => within(await screen.findByRole('form', { name }));
const words = async (name: string, label: string) => (await form(name)).getByLabelText<HTMLInputElement>(label).value;

test('behind another tab of the viewer a form keeps what was typed and what was drawn', async () => {
  await bench.open();
  await userEvent.click(sentence(NODULE));
  bench.press('sightlineEdit');
  await userEvent.type((await form('Edit')).getByLabelText('Sentence'), ' It is new.');
  await userEvent.click((await form('Edit')).getByRole('button', { name: 'Brush: Place 1' }));
  await userEvent.type(screen.getByLabelText('Ask'), 'left lower lobe');
  cleanup();
  expect(bench.images.did.at(-1)).toBe('no tool for a new place');
  await bench.open();
  expect(await words('Edit', 'Sentence')).toBe(`${NODULE} It is new.`);
  expect(screen.getByLabelText<HTMLInputElement>('Ask').value).toBe('left lower lobe');
  expect(bench.images.did).not.toContain('nothing drawn');
  await userEvent.click((await form('Edit')).getByRole('button', { name: 'Save' }));
  await marked('edited');
  expect(bench.verdicts[0]).toMatchObject({ sentence: `${NODULE} It is new.`, places: [{ mask: 'gA==' }, {}, {}] });
  expect(bench.images.did).toContain('nothing drawn');
});

test('a reload opens the form again with what was typed, and without what was drawn', async () => {
  await bench.open();
  bench.press('sightlineAdd');
  await userEvent.type((await form('Add a finding')).getByLabelText('Sentence'), 'A small mass.');
  await userEvent.selectOptions((await form('Add a finding')).getByLabelText('Side'), 'left');
  await userEvent.click((await form('Add a finding')).getByRole('button', { name: 'Box: New place' }));
  bench.reload();
  await bench.open();
  expect(await words('Add a finding', 'Sentence')).toBe('A small mass.');
  expect(await words('Add a finding', 'Side')).toBe('left');
  expect(screen.queryByText(/as you draw it now/)).toBeNull();
  await userEvent.click((await form('Add a finding')).getByRole('button', { name: 'Save' }));
  await marked('added');
});

test('a form that was saved or cancelled starts anew', async () => {
  await bench.open();
  for (const end of ['Save', 'Cancel']) {
    bench.press('sightlineAdd');
    expect(await words('Add a finding', 'Sentence')).toBe('');
    await userEvent.type((await form('Add a finding')).getByLabelText('Sentence'), 'A small mass.');
    await userEvent.click((await form('Add a finding')).getByRole('button', { name: end }));
  }
  bench.reload();
  await bench.open();
  expect(screen.queryByRole('form', { name: 'Add a finding' })).toBeNull();
  bench.press('sightlineAdd');
  expect(await words('Add a finding', 'Sentence')).toBe('');
});

test('a click on a mask while a form is open is the drawing, and closes nothing', async () => {
  await bench.open();
  bench.press('sightlineAdd');
  await form('Add a finding');
  bench.images.click(CONTRACT.report.findings[0]!.places[0]!.tracking_uid);
  expect(screen.getByRole('form', { name: 'Add a finding' })).toBeDefined();
});
