/** Masks cross the wire bit for bit. */

import { expect, test } from 'vitest';

import { blockAround, cut, packed, unpacked, type Index } from './pixels';

const box = { start: [2, 10, 20] as Index, stop: [4, 12, 23] as Index };

test("bits are NumPy's packbits: the first pixel in the highest bit", () => {
  const pixels = Uint8Array.from([1, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0]);
  expect(atob(packed(pixels))).toBe('\x81\x80');
  expect([...unpacked(packed(pixels), box).pixels]).toEqual([...pixels]);
});

test('a place without a mask is its whole box, and a mask that is too short is refused', () => {
  expect([...unpacked(null, box).pixels]).toEqual(Array(12).fill(1));
  expect(() => unpacked(btoa('\x81'), box)).toThrow(RangeError);
});

test('large masks are packed too', () => {
  const pixels = new Uint8Array(512 * 512).map((_, index) => (index % 3 === 0 ? 1 : 0));
  const whole = { start: [0, 0, 0] as Index, stop: [1, 512, 512] as Index };
  expect(Buffer.compare(unpacked(packed(pixels), whole).pixels, pixels)).toBe(0);
});

test('the block around marked pixels is tight in all three directions', () => {
  const columns = 5;
  const first = new Uint8Array(20);
  const second = new Uint8Array(20);
  first[1 * columns + 2] = 3;
  second[2 * columns + 4] = 3;
  second[0] = 1; // another segment
  const block = blockAround(new Map([[7, first], [9, second], [8, new Uint8Array(20)]]), columns, 3)!;
  expect([block.start, block.stop]).toEqual([[7, 1, 2], [10, 3, 5]]);
  expect([...block.pixels]).toEqual([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
  expect(blockAround(new Map([[0, new Uint8Array(20)]]), columns)).toBeNull();
});

test('a mask is cut to a box that the reader moved, and is none where nothing of it is left', () => {
  const block = unpacked(null, { start: [0, 0, 0], stop: [1, 2, 2] });
  const moved = cut(block, { start: [0, 1, 1], stop: [1, 3, 3] })!;
  expect([...moved.pixels]).toEqual([1, 0, 0, 0]);
  expect(cut(block, { start: [0, 5, 5], stop: [1, 6, 6] })).toBeNull();
});
