/** @vitest-environment jsdom */
/** In whose name a radiologist judges where people sign in, and what becomes of a session's end. */

import { fireEvent, screen, waitFor, within } from '@testing-library/react';
import { beforeEach, expect, test } from 'vitest';

import type { DecisionIn } from '../services/verdicts';
import { NODULE, marked, sentence, useBench } from './bench';

const bench = useBench();
const account = { is_asked: true, login: 'wilhelm', name: 'Röntgen^Wilhelm', organization: 'Institute', rights: [] };

beforeEach(() => localStorage.clear());

const people = () => bench.api.posted.map(({ body }) => (body as DecisionIn).person);

test('who is signed in judges in the name of the account, and is not asked', async () => {
  bench.api.session = account;
  await bench.open();
  fireEvent.click(sentence(NODULE));
  bench.press('sightlineAccept');
  await marked('accepted');
  expect(people()).toEqual([{ name: 'Röntgen^Wilhelm', organization: 'Institute', login: '' }]);
  expect(screen.getByRole('button', { name: 'Wilhelm Röntgen' })).toBeDefined();
});

test('only what the account does not say is asked, whoever judged in this browser before', async () => {
  bench.api.session = { ...account, organization: '' };
  await bench.open();
  fireEvent.click(sentence(NODULE));
  bench.press('sightlineAccept');
  const form = within(await screen.findByRole('form', { name: 'Who judges' }));
  expect(form.getByText(/signed in as Wilhelm Röntgen/)).toBeDefined();
  expect(form.queryByLabelText('Family name')).toBeNull();
  fireEvent.change(form.getByLabelText('Organization'), { target: { value: 'Würzburg' } });
  fireEvent.click(form.getByRole('button', { name: 'Go on' }));
  await marked('accepted');
  expect(people()).toEqual([{ name: 'Röntgen^Wilhelm', organization: 'Würzburg', login: '' }]);
});

test('when the session ends the panel says so and where to sign in, and nothing is lost', async () => {
  bench.api.session = account;
  await bench.open();
  await screen.findByRole('button', { name: 'Wilhelm Röntgen' });
  fireEvent.click(sentence(NODULE));
  bench.press('sightlineEdit');
  const form = within(await screen.findByRole('form', { name: /Edit/ }));
  fireEvent.change(form.getByLabelText('Sentence'), { target: { value: 'Half a sentence' } });
  bench.api.signOut();
  const link = await screen.findByRole('link', { name: /Sign in again/ });
  expect(link.getAttribute('href')).toMatch(/\/api\/v1\/session\/login\?back=%2F$/);
  expect(link.getAttribute('target')).toBe('_blank');

  fireEvent.click(form.getByRole('button', { name: /Save/ }));
  await screen.findByText(/Your session has ended. Nothing is lost/);
  bench.api.isSignedOut = false;
  await waitFor(() => expect(screen.queryByRole('link', { name: /Sign in again/ })).toBeNull());
  fireEvent.click(screen.getByRole('button', { name: 'Send again' }));
  await marked('edited');
  expect(sentence('Half a sentence')).toBeDefined();
});
