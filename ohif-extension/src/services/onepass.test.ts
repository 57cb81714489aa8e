/** @vitest-environment jsdom */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import type { Actor, Canvas, Host } from '../ohif';
import { Images } from './images';
import { drawInOnePass } from './onepass';

/** As VTK's: tells of every change, and is drawn in the first pass while it is forced to. */
class Drawn {
  isOpaque = false;
  private heard: (() => void)[] = [];
  onModified(heard: () => void) {
    this.heard.push(heard);
  }
  setForceOpaque(isForced: boolean) {
    if (isForced !== this.isOpaque) {
      this.isOpaque = isForced;
      this.heard.forEach(hear => hear());
    }
  }
}

const viewport = document.body.appendChild(document.createElement('div'));
const stack = { setImageIdIndex: async () => undefined } as Partial<Canvas>;
let shown: Partial<Canvas> = stack;
let stop: () => void;

beforeEach(() => {
  shown = stack;
  vi.stubGlobal('cornerstone', { Enums: { Events: { ACTORS_CHANGED: 'CORNERSTONE_ACTORS_CHANGED' } } });
  const host = { servicesManager: { services: { cornerstoneViewportService: { getCornerstoneViewport: () => shown } } } } as unknown as Host;
  stop = drawInOnePass(new Images(host), uid => uid.startsWith('ours'));
});
afterEach(() => stop());

function add(representationUID?: string): Drawn {
  const actor = new Drawn();
  const added = { representationUID, actor } as Actor;
  viewport.dispatchEvent(new CustomEvent('CORNERSTONE_ACTORS_CHANGED', { detail: { viewportId: 'default', addedActors: [added] } }));
  return actor;
}

test('a mask is drawn with its image, also after its style was changed', () => {
  const mask = add('ours-Labelmap-1');
  expect(mask.isOpaque).toBe(true);
  mask.setForceOpaque(false);
  expect(mask.isOpaque).toBe(true);
});

test('images and masks of others are drawn as the viewer draws them', () => {
  expect(add().isOpaque).toBe(false);
  expect(add('theirs-Labelmap-1').isOpaque).toBe(false);
});

test('a volume, which is drawn after what is opaque, keeps its masks translucent', () => {
  shown = {};
  expect(add('ours-Labelmap-1').isOpaque).toBe(false);
});

test('nothing is changed in a mode that was left', () => {
  stop();
  expect(add('ours-Labelmap-1').isOpaque).toBe(false);
});
