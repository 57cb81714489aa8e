/** @vitest-environment jsdom */
import { afterEach, beforeEach, expect, test } from 'vitest';

import { Hand } from './hand';

const hand = new Hand();

beforeEach(() => hand.start());
afterEach(() => hand.stop());

function move(type: string, buttons: number): void {
  window.dispatchEvent(new MouseEvent(type, { buttons }));
}

async function isFree(): Promise<boolean> {
  return Promise.race([hand.free().then(() => true), new Promise<boolean>(resolve => setTimeout(() => resolve(false), 20))]);
}

test('nothing waits for a hand that holds nothing', async () => {
  expect(await isFree()).toBe(true);
  move('pointermove', 0);
  expect(await isFree()).toBe(true);
});

test('what waits for a drag goes on when the last button is let go', async () => {
  move('pointerdown', 1);
  move('pointermove', 1);
  expect(await isFree()).toBe(false);
  const free = hand.free();
  move('pointerup', 0);
  await free;
});

test('a button that was let go outside the window is noticed', async () => {
  move('pointerdown', 1);
  expect(await isFree()).toBe(false);
  move('pointermove', 0);
  expect(await isFree()).toBe(true);
});

test('a drag that the browser breaks off holds nothing up', async () => {
  move('pointerdown', 1);
  move('pointercancel', 1);
  expect(await isFree()).toBe(true);
});
