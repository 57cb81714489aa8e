// Opens one page of the viewer in a headless Chromium and says, as JSON, what a reader would see.
//
//   node look.mjs URL SCREENSHOT.png MEASUREMENTS SEGMENTATIONS
//
// Waits until the image is drawn, the panel has an answer, and as many measurements and segmentations as were asked for are
// shown; then clicks each sentence of the panel that has a place. With #without-api in the address the API does not answer.
import { createRequire } from 'node:module';

const require = createRequire(new URL('../../ohif-extension/package.json', import.meta.url));
const { chromium } = require('playwright-core');

const [url, screenshot, measurements, segmentations] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ['--no-sandbox', '--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--ignore-gpu-blocklist'].concat(
    ['--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run']
  ),
});

const facts = { errors: [], requests: [], clicks: [] };
try {
  const page = await browser.newPage({ viewport: { width: 1200, height: 720 } });
  page.setDefaultTimeout(300_000);
  page.on('pageerror', error => facts.errors.push(String(error)));
  page.on('console', message => message.type() === 'error' && facts.errors.push(message.text()));
  page.on('request', request => facts.requests.push(`${request.method()} ${request.url()}`));
  if (url.endsWith('#without-api')) {
    await page.route('**/api/**', route => route.abort());
  }
  await page.addInitScript(() => {
    window.shownInstance = () => {
      const { viewportGridService, cornerstoneViewportService } = window.services;
      const viewport = cornerstoneViewportService.getCornerstoneViewport(viewportGridService.getActiveViewportId());
      return window.cornerstone.metaData.get('instance', viewport?.getCurrentImageId?.())?.SOPInstanceUID;
    };
  });
  await page.goto(url, { waitUntil: 'commit' });
  await page
    .waitForFunction(
      ([boxes, masks]) => {
        const canvas = document.querySelector('canvas.cornerstone-canvas');
        const panel = document.querySelector('.sightline');
        if (!canvas?.width || !panel || panel.textContent.includes('Asking for')) {
          return false;
        }
        const { measurementService, segmentationService } = window.services;
        return measurementService.getMeasurements().length === boxes && segmentationService.getSegmentations().length === masks;
      },
      [Number(measurements), Number(segmentations)],
      { timeout: 400_000, polling: 500 }
    )
    .catch(() => facts.errors.push('The page never showed what was expected.'));
  await settle(page);
  await page.screenshot({ path: screenshot });
  Object.assign(facts, await page.evaluate(look));
  for (const sentence of await page.locator('button.sightline-sentence').all()) {
    const before = facts.clicks.at(-1)?.instance_uid ?? facts.instance_uid;
    await sentence.click();
    await page.waitForFunction(uid => window.shownInstance() !== uid, before, { timeout: 5000 }).catch(() => undefined); // or it stays
    facts.clicks.push({ sentence: await sentence.innerText(), instance_uid: await page.evaluate(() => window.shownInstance()) });
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify(facts));

/** Waits until two looks in a row are the same picture. */
async function settle(page) {
  let before = null;
  for (let look = 0; look < 40; look += 1) {
    await page.waitForTimeout(500);
    const now = (await page.screenshot()).toString('base64');
    if (now === before) {
      return;
    }
    before = now;
  }
}

function look() {
  const { measurementService, segmentationService, viewportGridService, displaySetService } = window.services;
  const viewportId = viewportGridService.getActiveViewportId();
  // Row and column (PS3.3 C.7.6.2.1.1): each axis with its own spacing.
  const pixel = (imageId, point) => {
    const plane = window.cornerstone.metaData.get('imagePlaneModule', imageId);
    const offset = point.map((value, axis) => value - plane.imagePositionPatient[axis]);
    const along = cosines => cosines.reduce((sum, cosine, axis) => sum + cosine * offset[axis], 0);
    return [along(plane.columnCosines) / plane.rowPixelSpacing + 0.5, along(plane.rowCosines) / plane.columnPixelSpacing + 0.5];
  };
  const area = document.querySelector('canvas.cornerstone-canvas')?.getBoundingClientRect();
  // Row and column of a point of the canvas, on the image that is shown.
  const viewport = window.services.cornerstoneViewportService.getCornerstoneViewport(viewportId);
  const at = (x, y) => pixel(viewport.getCurrentImageId(), viewport.canvasToWorld([x, y]));
  const rectangles = [...document.querySelectorAll('svg.svg-layer rect[data-id]')].map(each =>
    ['x', 'y', 'width', 'height'].map(name => Number(each.getAttribute(name)))
  );
  return {
    canvas: area && { origin: at(0, 0), right: at(1, 0), down: at(0, 1) },
    drawn: rectangles.map(([x, y, width, height]) => [at(x, y), at(x + width, y + height)]),
    panel: document.querySelector('.sightline')?.innerText ?? null,
    dialogs: [...document.querySelectorAll('[role=dialog], [data-cy=yes-hydrate-btn], .shepherd-element')].map(each => each.innerText),
    boxes: measurementService.getMeasurements().map(each => each.points.map(point => pixel(each.referencedImageId, point))),
    measurements: measurementService.getMeasurements().map(each => ({ uid: each.uid, label: each.label })),
    segmentations: segmentationService.getSegmentations().map(each => Object.values(each.segments).map(segment => segment.label)),
    shown: segmentationService.getSegmentationRepresentations(viewportId).length,
    displaySets: displaySetService.getActiveDisplaySets().map(each => `${each.Modality} ${each.SeriesDescription}`),
    area: area && { left: area.left, top: area.top, right: area.right, bottom: area.bottom },
    instance_uid: window.shownInstance(),
  };
}
