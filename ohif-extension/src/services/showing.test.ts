/** Results appear by themselves, once, in whatever order OHIF learns of things. The host here stands in for OHIF. */

import { expect, test, vi } from 'vitest';

import type { DisplaySet, Host, Measurement, Viewport } from '../ohif';
import { Showing } from './showing';

class Viewer {
  displaySets: DisplaySet[] = [];
  viewports = new Map<string, Viewport>();
  did: string[] = [];
  private listeners: (() => void)[] = [];
  private measurements: Measurement[] = [];

  readonly host = {
    servicesManager: {
      services: {
        displaySetService: {
          EVENTS: { DISPLAY_SETS_ADDED: 'added' },
          subscribe: (_: string, listener: () => void) => this.listen(listener),
          getActiveDisplaySets: () => this.displaySets,
          getDisplaySetsForReferences: ([reference]: { SeriesInstanceUID: string }[]) =>
            this.displaySets.filter(each => each.SeriesInstanceUID === reference?.SeriesInstanceUID),
        },
        cornerstoneViewportService: {
          EVENTS: { VIEWPORT_DATA_CHANGED: 'changed' },
          subscribe: (_: string, listener: () => void) => this.listen(listener),
        },
        viewportGridService: { getState: () => ({ viewports: this.viewports }) },
        measurementService: {
          getMeasurements: () => this.measurements,
          jumpToMeasurement: (viewportId: string, uid: string) => this.did.push(`${viewportId}: go to ${uid}`),
        },
        toolGroupService: { getToolGroupIds: () => [] },
        panelService: { activatePanel: () => this.did.push('open panel') },
        uiNotificationService: { show: () => this.did.push('complain') },
      },
    },
    commandsManager: {
      runCommand: (name: string, { viewportId, displaySetInstanceUID: uid }: { viewportId?: string; displaySetInstanceUID: string }) => {
        if (name === 'hydrateStructuredReport') {
          this.did.push(`draw ${uid}`);
          this.measurements.push({ uid: 'box', SOPInstanceUID: '1.9', displaySetInstanceUID: 'ct' });
        } else {
          this.did.push(`${viewportId}: lay ${uid}`);
          this.viewports.get(viewportId!)!.displaySetInstanceUIDs.push(uid);
          this.announce();
        }
      },
    },
  } as unknown as Host;

  private listen(listener: () => void) {
    this.listeners.push(listener);
    return { unsubscribe: () => (this.listeners = this.listeners.filter(each => each !== listener)) };
  }

  announce(): void {
    [...this.listeners].forEach(listener => listener());
  }

  async learn(...displaySets: DisplaySet[]): Promise<void> {
    this.displaySets = [...this.displaySets, ...displaySets];
    this.announce();
    await quiet();
  }

  async show(viewportId: string, displaySet: DisplaySet): Promise<void> {
    this.viewports.set(viewportId, { viewportId, displaySetInstanceUIDs: [displaySet.displaySetInstanceUID] });
    this.announce();
    await quiet();
  }
}

const quiet = () => new Promise(resolve => setTimeout(resolve, 5));
const common = { StudyInstanceUID: '1.2', ContentDate: '20260506' };
const instance = { SOPInstanceUID: '1', Manufacturer: 'Sightline', ContentTime: '070809' };

const ct: DisplaySet = { ...common, displaySetInstanceUID: 'ct', SeriesInstanceUID: '1.2.1', Modality: 'CT' };

function seg(): DisplaySet {
  return {
    ...common,
    displaySetInstanceUID: 'seg',
    SeriesInstanceUID: '1.2.2',
    Modality: 'SEG',
    isDerivedDisplaySet: true,
    instance: { ...instance, ReferencedSeriesSequence: [{ SeriesInstanceUID: '1.2.1' }], SegmentSequence: [{ TrackingUID: '2.25.7' }] },
  };
}

/** An SR that OHIF can draw once it knows the CT. */
function sr(viewer: Viewer): DisplaySet {
  const report: DisplaySet = {
    ...common,
    displaySetInstanceUID: 'sr',
    SeriesInstanceUID: '1.2.3',
    Modality: 'SR',
    isDerivedDisplaySet: true,
    instance: { ...instance, SeriesNumber: 9001, ContentSequence: { ContentSequence: { UID: '2.25.7' } } },
    load: async () => {
      report.measurements = [{ loaded: viewer.displaySets.includes(ct), TrackingUniqueIdentifier: '2.25.7' }];
    },
  };
  return report;
}

test('boxes, masks and the slice with a finding come in this order, and once', async () => {
  const viewer = new Viewer();
  new Showing(viewer.host);
  await viewer.learn(ct, seg(), sr(viewer));
  await viewer.show('main', ct);
  const expected = ['open panel', 'draw sr', 'main: lay seg', 'main: go to box'];
  expect(viewer.did).toEqual(expected);
  viewer.announce();
  await quiet();
  expect(viewer.did).toEqual(expected);
});

test('results that arrive after the image is on the screen are shown too', async () => {
  const viewer = new Viewer();
  new Showing(viewer.host);
  await viewer.learn(ct);
  await viewer.show('main', ct);
  expect(viewer.did).toEqual(['open panel']);
  await viewer.learn(sr(viewer));
  await viewer.learn(seg());
  expect(viewer.did).toEqual(['open panel', 'draw sr', 'main: go to box', 'main: lay seg']);
});

test('a layer that the reader removed stays removed, and a second viewport gets its own', async () => {
  const viewer = new Viewer();
  new Showing(viewer.host);
  await viewer.learn(ct, seg(), sr(viewer));
  await viewer.show('main', ct);
  await viewer.show('main', ct); // without the layer
  await viewer.show('second', ct);
  expect(viewer.did.filter(each => each.includes('lay'))).toEqual(['main: lay seg', 'second: lay seg']);
});

test('a mask is tied to the image that it names, whatever OHIF took for its source', async () => {
  const viewer = new Viewer();
  new Showing(viewer.host);
  const mask = { ...seg(), referencedDisplaySetInstanceUID: 'another image of the series' };
  await viewer.learn(ct, mask, sr(viewer));
  await viewer.show('main', ct);
  expect(mask.referencedDisplaySetInstanceUID).toBe('ct');
});

test('a report that cannot be drawn is told once, and its masks are shown all the same', async () => {
  const viewer = new Viewer();
  new Showing(viewer.host);
  await viewer.learn(ct, seg(), { ...sr(viewer), load: () => Promise.reject(new Error('broken')) });
  const error = console.error;
  console.error = () => undefined;
  await viewer.show('main', ct);
  console.error = error;
  expect(viewer.did).toEqual(['open panel', 'complain', 'main: lay seg']);
});

test('after the mode is left nothing happens any more', async () => {
  const viewer = new Viewer();
  const showing = new Showing(viewer.host);
  showing.stop();
  await viewer.learn(ct, seg(), sr(viewer));
  await viewer.show('main', ct);
  expect(viewer.did).toEqual([]);
});

test('a result that was taken back is not drawn, although the archive still has it', async () => {
  vi.spyOn(globalThis, 'fetch').mockImplementation(async () => new Response(JSON.stringify({ state: 'done', reason: '', report: null })));
  const viewer = new Viewer();
  new Showing(viewer.host);
  await viewer.learn(ct, seg(), sr(viewer));
  await viewer.show('main', ct);
  expect(viewer.did).toEqual(['open panel']);
});
