/** The prior that stands beside is the newest that can be compared. */

import { expect, test } from 'vitest';

import { newestOf } from './priors';

const prior = (study_uid: string, ...modalities: string[]) => ({ study_uid, modalities }) as Parameters<typeof newestOf>[0][number];

test('of the priors, the newest first, the first with images of the same kind is taken', () => {
  const priors = [prior('newest', 'MR'), prior('newer', 'SR', 'CT'), prior('older', 'CT')];
  expect(newestOf(priors, new Set(['CT']))?.study_uid).toBe('newer');
  expect(newestOf(priors, new Set(['CR', 'MR']))?.study_uid).toBe('newest');
});

test('where nothing can be compared there is none', () => {
  expect(newestOf([prior('ultrasound', 'US')], new Set(['CT']))).toBeNull();
  expect(newestOf([], new Set(['CT']))).toBeNull();
});
