/** Which display sets are the newest results, and which box belongs to which sentence. */

import { expect, test } from 'vitest';

import type { DisplaySet } from '../ohif';
import { newestResults } from './results';

interface Options {
  Manufacturer?: string;
  SeriesNumber?: number;
  StudyInstanceUID?: string;
}

/** A document or a mask of one place. */
function derived(name: string, Modality: string, ContentTime: string, place: string, options: Options = {}): DisplaySet {
  const { Manufacturer = 'Sightline', SeriesNumber = Modality === 'SR' ? 9001 : 9101, StudyInstanceUID = '1.2' } = options;
  const content =
    Modality === 'SR' ? { ContentSequence: [{ ContentSequence: [{ UID: place }, {}] }] } : { SegmentSequence: [{ TrackingUID: place }] };
  const instance = { SOPInstanceUID: name, Manufacturer, SeriesNumber, ContentDate: '20260506', ContentTime, ...content };
  return { displaySetInstanceUID: name, StudyInstanceUID, SeriesInstanceUID: name, Modality, isDerivedDisplaySet: true, instance };
}

function names(displaySets: DisplaySet[]): string[] {
  return displaySets.map(each => each.displaySetInstanceUID);
}

test('of two readings only the newest counts, with its own masks', () => {
  const [result, ...others] = newestResults([
    derived('old mask', 'SEG', '070809', 'old'),
    derived('new mask', 'SEG', '070809.5', 'new'),
    derived('old report', 'SR', '070809', 'old'),
    derived('new report', 'SR', '070809.5', 'new'),
  ]);
  expect(others.length).toBe(0);
  expect(result!.report.displaySetInstanceUID).toBe('new report');
  expect(names(result!.segmentations)).toEqual(['new mask']);
});

test('a mask that a later version left as it was stays, and one whose place was rejected goes', () => {
  const [result] = newestResults([
    derived('kept', 'SEG', '070809', 'lung'),
    derived('rejected', 'SEG', '070809', 'nodule'),
    derived('second version', 'SR', '080000', 'lung'),
  ]);
  expect(names(result!.segmentations)).toEqual(['kept']);
});

test('draft report, measurements and failures are no findings', () => {
  const others = [9002, 9003, 9004].map(SeriesNumber => derived(`${SeriesNumber}`, 'SR', '080000', 'lung', { SeriesNumber }));
  const [result] = newestResults([derived('findings', 'SR', '070809', 'lung'), ...others]);
  expect(result!.report.displaySetInstanceUID).toBe('findings');
  expect(newestResults(others)).toEqual([]);
});

test('results of others are left alone', () => {
  const theirs = { Manufacturer: 'Another Maker' };
  expect(newestResults([derived('theirs', 'SR', '070809', 'lung', theirs), derived('image', 'CT', '070809', '')])).toEqual([]);
});

test('each study has its own results', () => {
  const results = newestResults([
    derived('prior', 'SR', '060000', 'lung', { StudyInstanceUID: '1.1' }),
    derived('mask of prior', 'SEG', '060000', 'lung', { StudyInstanceUID: '1.1' }),
    derived('report', 'SR', '060000', 'lung', { StudyInstanceUID: '1.2' }),
  ]);
  expect(results.map(each => [each.report.displaySetInstanceUID, names(each.segmentations)])).toEqual([
    ['prior', ['mask of prior']],
    ['report', []],
  ]);
});
