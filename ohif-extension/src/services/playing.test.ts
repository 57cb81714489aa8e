/** @vitest-environment jsdom */
/** A reading goes on by itself, at a reader's pace, unless motion is not wanted. */

import { beforeEach, expect, test, vi } from 'vitest';

import { Playing } from './playing';
import type { Look } from './reports';

const steps = ['I look at the lungs.', 'Then at the heart.', 'A nodule is seen in the right lung.'].map(
  (words): Look => ({ words, series_uid: '1.2', instance_uid: null, start: null, stop: null })
);
let visited: string[];
let playing: Playing;

beforeEach(() => {
  vi.useFakeTimers();
  visited = [];
  playing = new Playing(step => visited.push(step.words));
  return () => vi.useRealTimers();
});

test('each step is visited in its turn, and after the last it ends', () => {
  playing.start(steps);
  expect(visited).toHaveLength(1);
  vi.advanceTimersToNextTimer();
  vi.advanceTimersToNextTimer();
  expect(visited).toEqual(steps.map(each => each.words));
  vi.advanceTimersToNextTimer();
  expect(playing.get().at).toBeNull();
});

test('it can be paused, stepped back and stopped', () => {
  playing.start(steps);
  playing.pause();
  vi.runAllTimers();
  expect(visited).toHaveLength(1);
  playing.move(1);
  playing.move(-1);
  expect(visited).toEqual([steps[0]!.words, steps[1]!.words, steps[0]!.words]);
  playing.stop();
  playing.pause();
  vi.runAllTimers();
  expect(visited).toHaveLength(3);
});

test('a reader who asks for less motion goes on by hand', () => {
  vi.stubGlobal('matchMedia', () => ({ matches: true }));
  playing.start(steps);
  vi.runAllTimers();
  expect(visited).toHaveLength(1);
});
