/** No finding is hidden by a word that is not known, and places are said as radiologists count. */

import { expect, test } from 'vitest';

import { CONTRACT } from '../standin';
import { groupOf, inWords } from './findings';
import type { Statement } from './reports';

const nodule = CONTRACT.report.findings[1]!;

test.each<[Partial<Statement>, string]>([
  [{ urgency: 'critical' }, 'critical'],
  [{ urgency: 'critical', presence: 'absent' }, 'absent'],
  [{ urgency: 'urgent', presence: 'undetermined' }, 'urgent'],
  [{ kind: 'structure', urgency: 'none', flags: [] }, 'structures'],
  [{ kind: 'structure', urgency: 'none', flags: ['It is called normal, but nodule is stated in it.'] }, 'routine'],
  [{ kind: '', urgency: 'none' }, 'routine'],
  [{ urgency: 'tomorrow' as never, kind: 'thing' as never }, 'routine'],
])('%o is listed as %s', (change, group) => {
  expect(groupOf({ ...nodule, ...change })).toBe(group);
});

test('slices are counted from one, and a radiograph has none but is one of the images', () => {
  const place = { start: [2, 0, 0], stop: [5, 9, 9] };
  expect(inWords(place, { words: 'CT thorax', slices: 120 })).toBe('CT thorax, slices 3 to 5');
  expect(inWords({ ...place, stop: [3, 9, 9] }, { words: 'CT thorax', slices: 120 })).toBe('CT thorax, slice 3');
  expect(inWords({ start: [0, 0, 0], stop: [1, 9, 9] }, { words: 'DX PA', slices: 1 })).toBe('DX PA');
  expect(inWords({ start: [1, 0, 0], stop: [2, 9, 9] }, { words: 'CR PA and lateral', slices: 2 })).toBe('CR PA and lateral, image 2');
  expect(inWords({ start: [0, 0, 0], stop: [1, 9, 9] })).toBe('on the image');
});
