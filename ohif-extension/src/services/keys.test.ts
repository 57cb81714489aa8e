/** Our keys stand beside OHIF's, each key for one thing. */

import { expect, test } from 'vitest';

import { KEYS, Keys, withOurs } from './keys';

/** OHIF 3.13's own, as far as they are single letters or near ours. */
const OHIF = [
  ['flipViewportHorizontal', 'h'],
  ['addNewSegment', 'a'],
  ['setToolActive', 'e'],
  ['interpolateScrollForMarkerLabelmap', 'n'],
  ['resetViewport', 'space'],
  ['undo', 'ctrl+z'],
].map(([commandName, key]) => ({ commandName: commandName!, keys: [key!] }));

test('of a key that both have ours is meant, and all others of the viewer stay', () => {
  const keys = withOurs(OHIF);
  const pressed = keys.map(each => (each.keys as string[]).join('+'));
  expect(new Set(pressed).size).toBe(pressed.length);
  expect(keys.find(each => each.keys[0] === 'a')!.commandName).toBe('sightlineAccept');
  expect(keys.map(each => each.commandName)).toEqual(expect.arrayContaining(['flipViewportHorizontal', 'resetViewport', 'undo']));
});

test('applied twice, nothing is doubled', () => {
  expect(withOurs(withOurs(OHIF))).toEqual(withOurs(OHIF));
});

test('each of our keys is one key, and no one of the viewer that turns or flips an image', () => {
  expect(new Set(KEYS.map(each => each.keys)).size).toBe(KEYS.length);
  expect(KEYS.map(each => each.keys)).not.toEqual(expect.arrayContaining(['h']));
});

test('a command is heard by who listens, until they do not', () => {
  const keys = new Keys();
  const heard: string[] = [];
  const stop = keys.subscribe(command => heard.push(command));
  keys.press('sightlineNext');
  stop();
  keys.press('sightlineNext');
  expect(heard).toEqual(['sightlineNext']);
});
