/** @vitest-environment jsdom */
/** What is asked in words or by pointing, and what becomes of the answer. */

import { screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { expect, test } from 'vitest';

import { marked, useBench } from './bench';

const bench = useBench();

test('an answer is a draft until it is kept as a finding', async () => {
  await bench.open();
  bench.press('sightlineAsk');
  await userEvent.keyboard('segment the left lower lobe{Enter}');
  await screen.findByText(/waits for its turn/);
  expect(bench.api.posted[0]!.body).toMatchObject({
    kind: 'segment',
    words: 'segment the left lower lobe',
    series_uid: '2.25.2000',
    slice: 1,
    points: [],
    box: null,
  });
  const place = {
    series_uid: '2.25.2000',
    instance_uid: '1',
    start: [1, 2, 3] as [number, number, number],
    stop: [2, 4, 6] as [number, number, number],
    mask: 'gA==',
    score: 0.9,
  };
  bench.api.reply(bench.api.questions[0]!, { sentence: 'The left lower lobe.', places: [place] });
  await screen.findByText('The left lower lobe.');
  expect(bench.images.did).toContain('draft of 1');
  await userEvent.click(screen.getByRole('button', { name: 'Keep' }));
  await userEvent.click(within(screen.getByRole('form', { name: 'Add a finding' })).getByRole('button', { name: 'Save' }));
  expect(bench.images.did).toContain('no draft');
  await marked('added');
  const { score: _, instance_uid: __, ...kept } = place;
  expect(bench.verdicts[0]).toMatchObject({ verdict: 'add', sentence: 'The left lower lobe.', places: [kept] });
});

test('what is pointed at is asked about, and a further point refines the answer', async () => {
  await bench.open();
  bench.images.pointed = { series_uid: '2.25.3000', slice: 0, row: 7, column: 8 };
  await userEvent.click(screen.getByRole('button', { name: 'Point' }));
  await screen.findByText(/Slice 1: 1 point/);
  await userEvent.click(screen.getByRole('button', { name: 'What is this?' }));
  await waitFor(() =>
    expect(bench.api.posted[0]?.body).toMatchObject({
      kind: 'what',
      slice: 0,
      points: [{ row: 7, column: 8, positive: true }],
      follows: null,
    })
  );
  bench.api.reply(bench.api.questions[0]!, { sentence: 'A rib.', cited: { top: 1, left: 2, bottom: 3, right: 4 } });
  await screen.findByText('A rib.');
  expect(bench.images.did).toContain('draft of 1');
  await userEvent.click(screen.getByRole('button', { name: '− Point' }));
  await waitFor(() =>
    expect(bench.api.posted[1]?.body).toMatchObject({ kind: 'segment', points: [{ row: 7, column: 8, positive: false }], follows: 1 })
  );
});
