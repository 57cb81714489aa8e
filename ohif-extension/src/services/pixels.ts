/** Pixels of a box as the API carries them, and boxes around pixels. Pure: arrays in, arrays out. */

/** Slice, row and column. */
export type Index = [number, number, number];

/** Whether each pixel of a box belongs to it: one byte a pixel, in the order (slice, row, column). */
export interface Block {
  start: Index;
  /** Index after the last. */
  stop: Index;
  pixels: Uint8Array;
}

export function shapeOf({ start, stop }: { start: readonly number[]; stop: readonly number[] }): Index {
  return [stop[0]! - start[0]!, stop[1]! - start[1]!, stop[2]! - start[2]!];
}

export function volumeOf(box: { start: readonly number[]; stop: readonly number[] }): number {
  return shapeOf(box).reduce((product, side) => product * side, 1);
}

export function isInside(box: { start: readonly number[]; stop: readonly number[] }, index: readonly number[]): boolean {
  return index.every((value, axis) => value >= box.start[axis]! && value < box.stop[axis]!);
}

/** Base64 of the pixels as bits, the first in the highest bit (NumPy's packbits). */
export function packed(pixels: Uint8Array): string {
  const bytes = new Uint8Array(Math.ceil(pixels.length / 8));
  pixels.forEach((pixel, index) => {
    if (pixel) {
      bytes[index >> 3]! |= 0x80 >> (index & 7);
    }
  });
  let text = '';
  for (let first = 0; first < bytes.length; first += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(first, first + 0x8000));
  }
  return btoa(text);
}

/** Undo `packed` for a box; without a mask the whole box is meant. RangeError where the mask is shorter than the box. */
export function unpacked(mask: string | null, box: { start: Index; stop: Index }): Block {
  const pixels = new Uint8Array(volumeOf(box));
  if (mask === null) {
    return { ...box, pixels: pixels.fill(1) };
  }
  const text = atob(mask);
  if (text.length * 8 < pixels.length) {
    throw new RangeError('The mask has fewer pixels than its box.');
  }
  for (let index = 0; index < pixels.length; index += 1) {
    pixels[index] = (text.charCodeAt(index >> 3) >> (7 - (index & 7))) & 1;
  }
  return { ...box, pixels };
}

/**
 * The smallest block around what is marked on whole slices; null where nothing is.
 *
 * `slices`: by slice index, one value a pixel of the whole slice (row, column); only pixels with `value` count.
 */
export function blockAround(slices: ReadonlyMap<number, ArrayLike<number>>, columns: number, value = 1): Block | null {
  const start: Index = [Infinity, Infinity, Infinity];
  const stop: Index = [0, 0, 0];
  for (const [slice, pixels] of slices) {
    for (let place = 0; place < pixels.length; place += 1) {
      if (pixels[place] === value) {
        [slice, Math.floor(place / columns), place % columns].forEach((index, axis) => {
          start[axis] = Math.min(start[axis]!, index);
          stop[axis] = Math.max(stop[axis]!, index + 1);
        });
      }
    }
  }
  if (stop[0] === 0) {
    return null;
  }
  const [, height, width] = shapeOf({ start, stop });
  const block = { start, stop, pixels: new Uint8Array(volumeOf({ start, stop })) };
  for (const [slice, pixels] of slices) {
    if (slice < start[0] || slice >= stop[0]) {
      continue;
    }
    for (let row = 0; row < height; row += 1) {
      const from = (row + start[1]) * columns + start[2];
      const to = ((slice - start[0]) * height + row) * width;
      for (let column = 0; column < width; column += 1) {
        block.pixels[to + column] = pixels[from + column] === value ? 1 : 0;
      }
    }
  }
  return block;
}

/** The part of a block inside a box, as a block of the box's size; null where nothing of it is left. */
export function cut(block: Block, box: { start: Index; stop: Index }): Block | null {
  const [, height, width] = shapeOf(box);
  const [, oldHeight, oldWidth] = shapeOf(block);
  const pixels = new Uint8Array(volumeOf(box));
  let isLeft = false;
  for (let place = 0; place < pixels.length; place += 1) {
    const index: Index = [
      box.start[0] + Math.floor(place / (height * width)),
      box.start[1] + (Math.floor(place / width) % height),
      box.start[2] + (place % width),
    ];
    if (isInside(block, index)) {
      const [slice, row, column] = index.map((value, axis) => value - block.start[axis]!) as Index;
      pixels[place] = block.pixels[(slice * oldHeight + row) * oldWidth + column]!;
      isLeft ||= pixels[place] !== 0;
    }
  }
  return isLeft ? { start: box.start, stop: box.stop, pixels } : null;
}
