/** Which display sets are the newest results, and which box belongs to which sentence. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { DisplaySet, Measurement } from '../src/ohif';
import { findBox, newestResults } from '../src/services/results';

function derived(name: string, Modality: string, ContentTime: string, Manufacturer = 'Sightline', StudyInstanceUID = '1.2'): DisplaySet {
  const instance = { SOPInstanceUID: name, Manufacturer, ContentDate: '20260506', ContentTime };
  return { displaySetInstanceUID: name, StudyInstanceUID, SeriesInstanceUID: name, Modality, isDerivedDisplaySet: true, instance };
}

function names(displaySets: DisplaySet[]): string[] {
  return displaySets.map(each => each.displaySetInstanceUID);
}

test('of two readings only the newest counts, with its own masks', () => {
  const [result, ...others] = newestResults([
    derived('old mask', 'SEG', '070809'),
    derived('new mask', 'SEG', '070809.5'),
    derived('old report', 'SR', '070809'),
    derived('new report', 'SR', '070809.5'),
  ]);
  assert.equal(others.length, 0);
  assert.equal(result!.report.displaySetInstanceUID, 'new report');
  assert.deepEqual(names(result!.segmentations), ['new mask']);
});

test('results of others are left alone', () => {
  assert.deepEqual(newestResults([derived('theirs', 'SR', '070809', 'Another Maker'), derived('image', 'CT', '070809')]), []);
});

test('each study has its own results', () => {
  const results = newestResults([
    derived('prior', 'SR', '060000', 'Sightline', '1.1'),
    derived('mask of prior', 'SEG', '060000', 'Sightline', '1.1'),
    derived('report', 'SR', '060000', 'Sightline', '1.2'),
  ]);
  assert.deepEqual(results.map(each => [each.report.displaySetInstanceUID, names(each.segmentations)]), [
    ['prior', ['mask of prior']],
    ['report', []],
  ]);
});

test('a box is found by its image and sentence, and after its label was changed by its image', () => {
  const box = (uid: string, label: string, SOPInstanceUID: string): Measurement => ({ uid, label, SOPInstanceUID, displaySetInstanceUID: 'ct' });
  const boxes = [box('a', 'A nodule.', '1.9.1'), box('b', 'A nodule.', '1.9.2'), box('c', 'Effusion.', '1.9.2')];
  assert.equal(findBox(boxes, 'A nodule.', '1.9.2')?.uid, 'b');
  assert.equal(findBox(boxes, 'Effusion.', '1.9.2')?.uid, 'c');
  assert.equal(findBox(boxes, 'Renamed.', '1.9.1')?.uid, 'a');
  assert.equal(findBox(boxes, 'A nodule.', '1.9.3'), undefined);
});
