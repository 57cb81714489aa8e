/** @vitest-environment jsdom */
/** Results appear by themselves, once, in whatever order OHIF learns of things. The host here stands in for OHIF. */

import { beforeEach, expect, test, vi } from 'vitest';

import { PANEL_ID } from '../id';
import type { DisplaySet, Host, Viewport } from '../ohif';
import { Boxes } from './boxes';
import { Images } from './images';
import { Masks } from './masks';
import { Showing } from './showing';

const nothing = () => undefined;
const ACTORS_CHANGED = 'CORNERSTONE_ACTORS_CHANGED';

class Viewer {
  displaySets: DisplaySet[] = [];
  viewports = new Map<string, Viewport>();
  did: string[] = [];
  private listeners: (() => void)[] = [];
  private annotations: object[] = [];

  constructor() {
    Object.assign(window, {
      cornerstone: { cache: { removeImageLoadObject: nothing }, Enums: { Events: { ACTORS_CHANGED } } },
      cornerstoneTools: {
        annotation: {
          config: { style: { setAnnotationStyles: nothing } },
          selection: { getAnnotationsSelected: () => [] },
          state: { getAllAnnotations: () => this.annotations },
          visibility: { setAnnotationVisibility: nothing },
        },
        segmentation: { segmentationStyle: { setStyle: nothing } },
        utilities: { segmentation: { triggerSegmentationRender: nothing, triggerSegmentationRenderBySegmentationId: nothing } },
      },
    });
  }

  readonly showing = () => {
    const images = new Images(this.host);
    const masks = new Masks(this.host, images);
    return new Showing(this.host, images, new Boxes(this.host, images, () => null), masks);
  };

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
          getCornerstoneViewport: (id: string) => this.canvas(id),
        },
        viewportGridService: { getState: () => ({ viewports: this.viewports }) },
        measurementService: {
          remove: (uid: string) => {
            this.did.push(`take away ${uid}`);
            this.annotations = this.annotations.filter(each => (each as { annotationUID: string }).annotationUID !== uid);
          },
        },
        segmentationService: {
          getSegmentationRepresentations: () => [],
          getViewportIdsWithSegmentation: () => [],
          setSegmentColor: nothing,
          addSegmentationRepresentation: (viewportId: string, { segmentationId }: { segmentationId: string }) =>
            this.did.push(`${viewportId}: lay ${segmentationId}`),
          remove: (uid: string) => this.did.push(`take away ${uid}`),
        },
        toolGroupService: { getToolGroupIds: () => [] },
        panelService: {
          PanelPosition: { Right: 'right' },
          getPanels: () => [{ id: PANEL_ID }],
          addPanel: () => undefined,
          activatePanel: () => this.did.push('open panel'),
        },
        uiNotificationService: { show: () => this.did.push('complain') },
      },
    },
    commandsManager: {
      runCommand: (_: string, { displaySetInstanceUID: uid }: { displaySetInstanceUID: string }) => {
        this.did.push(`draw ${uid}`);
        const documentUid = this.displaySets.find(each => each.displaySetInstanceUID === uid)!.instance!.SOPInstanceUID;
        const data = { sightline: { trackingUid: '2.25.7', documentUid }, handles: { points: [[0, 0, 0]] } };
        this.annotations.push({ annotationUID: `box of ${documentUid}`, metadata: { referencedImageId: 'image' }, data });
      },
    },
    extensionManager: {
      getActiveDataSource: () => [
        {
          query: { series: { search: async () => [{ seriesInstanceUid: '1.2.3', modality: 'SR' }] } },
          retrieve: { series: { metadata: async () => this.archive() } },
          getImageIdsForDisplaySet: () => ['image'],
        },
      ],
    },
  } as unknown as Host;

  /** Whether the images of the viewports have come. */
  hasImages = true;

  /** What the archive adds when it is asked again. */
  archive: () => void = () => undefined;

  private canvas(id: string) {
    return {
      id,
      element: { clientWidth: 100, clientHeight: 100 },
      getActors: () => [{ referencedId: this.hasImages ? 'image' : 'image before' }],
      getImageIds: () => ['image'],
      setImageIdIndex: async () => this.did.push(`${id}: go to image`),
      worldToCanvas: () => [50, 50],
      render: () => undefined,
    };
  }

  private listen(listener: () => void) {
    this.listeners.push(listener);
    return { unsubscribe: () => (this.listeners = this.listeners.filter(each => each !== listener)) };
  }

  announce(): void {
    [...this.listeners].forEach(listener => listener());
  }

  /** The image that a viewport was told to show has come. */
  async draw(viewportId: string): Promise<void> {
    this.hasImages = true;
    document.dispatchEvent(new CustomEvent(ACTORS_CHANGED, { detail: { viewportId, addedActors: [{}] } }));
    await quiet();
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

/** Everything that waits for something has had its turn. */
async function quiet(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) {
    await new Promise(resolve => setTimeout(resolve));
  }
}

beforeEach(() => void vi.spyOn(globalThis, 'fetch').mockRejectedValue(new TypeError('Sightline is away')));

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
    instance: {
      ...instance,
      ReferencedSeriesSequence: [{ SeriesInstanceUID: '1.2.1' }],
      SegmentSequence: [{ SegmentNumber: 1, TrackingUID: '2.25.7' }],
    },
    load: async () => undefined,
    labelMapImages: [[]],
    segMetadata: { data: [undefined, { rgba: [255, 0, 0] }] },
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
  viewer.showing();
  await viewer.learn(ct, seg(), sr(viewer));
  await viewer.show('main', ct);
  const expected = ['open panel', 'draw sr', 'main: lay seg', 'main: go to image'];
  expect(viewer.did).toEqual(expected);
  viewer.announce();
  await quiet();
  expect(viewer.did).toEqual(expected);
});

test('results that arrive after the image is on the screen are shown too', async () => {
  const viewer = new Viewer();
  viewer.showing();
  await viewer.learn(ct);
  await viewer.show('main', ct);
  expect(viewer.did).toEqual(['open panel']);
  await viewer.learn(sr(viewer));
  await viewer.learn(seg());
  expect(viewer.did).toEqual(['open panel', 'draw sr', 'main: go to image', 'main: lay seg']);
});

test('a mask waits for its image, which would be drawn over it', async () => {
  const viewer = new Viewer();
  viewer.hasImages = false;
  viewer.showing();
  await viewer.learn(ct, seg(), sr(viewer));
  await viewer.show('main', ct);
  expect(viewer.did).not.toContain('main: lay seg');
  await viewer.draw('main');
  expect(viewer.did).toContain('main: lay seg');
});

test('a layer that the reader removed stays removed, and a second viewport gets its own', async () => {
  const viewer = new Viewer();
  viewer.showing();
  await viewer.learn(ct, seg(), sr(viewer));
  await viewer.show('main', ct);
  viewer.announce();
  await quiet();
  await viewer.show('second', ct);
  expect(viewer.did.filter(each => each.includes('lay'))).toEqual(['main: lay seg', 'second: lay seg']);
});

test('a mask is tied to the image that it names, whatever OHIF took for its source', async () => {
  const viewer = new Viewer();
  viewer.showing();
  const mask = { ...seg(), referencedDisplaySetInstanceUID: 'another image of the series' };
  await viewer.learn(ct, mask, sr(viewer));
  await viewer.show('main', ct);
  expect(mask.referencedDisplaySetInstanceUID).toBe('ct');
});

test('a report that cannot be drawn is told once, and its masks are shown all the same', async () => {
  const viewer = new Viewer();
  viewer.showing();
  await viewer.learn(ct, seg(), { ...sr(viewer), load: () => Promise.reject(new Error('broken')) });
  const error = console.error;
  console.error = () => undefined;
  await viewer.show('main', ct);
  console.error = error;
  expect(viewer.did).toEqual(['open panel', 'complain', 'main: lay seg']);
});

test('after the mode is left nothing happens any more', async () => {
  const viewer = new Viewer();
  const showing = viewer.showing();
  showing.stop();
  await viewer.learn(ct, seg(), sr(viewer));
  await viewer.show('main', ct);
  expect(viewer.did).toEqual([]);
});

test('a result that was taken back is not drawn, although the archive still has it', async () => {
  vi.spyOn(globalThis, 'fetch').mockImplementation(async () => new Response(JSON.stringify({ state: 'done', reason: '', report: null })));
  const viewer = new Viewer();
  viewer.showing();
  await viewer.learn(ct, seg(), sr(viewer));
  await viewer.show('main', ct);
  expect(viewer.did).toEqual(['open panel']);
});

test('another version takes the place of the one before, without a new page', async () => {
  const viewer = new Viewer();
  const showing = viewer.showing();
  const report = sr(viewer);
  await viewer.learn(ct, seg(), report);
  await viewer.show('main', ct);
  viewer.did = [];
  viewer.archive = () => (report.instance = { ...report.instance!, SOPInstanceUID: '2' });
  await showing.refresh('1.2');
  expect(viewer.did).toEqual(['take away box of 1', 'draw sr']);
});

test('what is taken back while the page is open is taken from the screen', async () => {
  const viewer = new Viewer();
  const showing = viewer.showing();
  await viewer.learn(ct, seg(), sr(viewer));
  await viewer.show('main', ct);
  viewer.did = [];
  vi.spyOn(globalThis, 'fetch').mockImplementation(async () => new Response(JSON.stringify({ state: 'done', reason: '', report: null })));
  await showing.refresh('1.2');
  expect(viewer.did).toEqual(['take away box of 1', 'take away seg']);
});
