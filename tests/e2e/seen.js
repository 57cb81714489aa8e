// What a reader sees in OHIF, told by its services, its canvas and its drawings: window.seen, in every page of the browser suite.

window.seen = {
  viewport() {
    const { viewportGridService, cornerstoneViewportService } = window.services;
    return cornerstoneViewportService.getCornerstoneViewport(viewportGridService.getActiveViewportId());
  },

  /** Whether the active viewport has drawn an image. */
  isDrawn() {
    return Boolean(window.services?.cornerstoneViewportService && document.querySelector('canvas.cornerstone-canvas')?.width && this.instance());
  },

  /** Whether every slice of the active viewport's series is there. */
  isLoaded() {
    return this.viewport().getImageIds().every(imageId => window.cornerstone.cache.isLoaded(imageId));
  },

  /** SOP Instance UID of the image in the active viewport. */
  instance() {
    return window.cornerstone.metaData.get('instance', this.viewport()?.getCurrentImageId?.())?.SOPInstanceUID ?? null;
  },

  /** SOP Instance UIDs of the images in all viewports. */
  instances() {
    const { viewportGridService, cornerstoneViewportService } = window.services;
    return [...viewportGridService.getState().viewports.keys()].map(id => {
      const imageId = cornerstoneViewportService.getCornerstoneViewport(id)?.getCurrentImageId?.();
      return window.cornerstone.metaData.get('instance', imageId)?.SOPInstanceUID ?? null;
    });
  },

  /** Our boxes and the reader's: label and image of each. */
  boxes() {
    return window.services.measurementService.getMeasurements().map(each => ({
      label: each.label ?? '',
      instance: each.SOPInstanceUID,
      corners: each.points.map(point => pixel(each.referencedImageId, point)),
    }));
  },

  /** Labels of the segments of each segmentation. */
  segments() {
    return window.services.segmentationService.getSegmentations().map(each => Object.values(each.segments).map(segment => segment.label));
  },

  /** Rows and columns of opposite corners of the rectangles that stand on the image. */
  rectangles() {
    const shown = [...document.querySelectorAll('svg.svg-layer rect[data-id]')].filter(each => each.checkVisibility());
    return shown.map(each => {
      const [x, y, width, height] = ['x', 'y', 'width', 'height'].map(name => Number(each.getAttribute(name)));
      return [this.at(x, y), this.at(x + width, y + height)];
    });
  },

  /** Row and column of the image at a point of the viewport's canvas. */
  at(x, y) {
    const viewport = this.viewport();
    return pixel(viewport.getCurrentImageId(), viewport.canvasToWorld([x, y]));
  },

  /** Point of the page at a row and column of the image. */
  point(row, column) {
    const viewport = this.viewport();
    const plane = window.cornerstone.metaData.get('imagePlaneModule', viewport.getCurrentImageId());
    const place = plane.imagePositionPatient.map(
      (value, axis) =>
        value +
        (row - 0.5) * plane.rowPixelSpacing * plane.columnCosines[axis] +
        (column - 0.5) * plane.columnPixelSpacing * plane.rowCosines[axis]
    );
    const [x, y] = viewport.worldToCanvas(place);
    const { left, top } = viewport.element.getBoundingClientRect();
    return [left + x, top + y];
  },

  /** Where the active viewport is on the page: left, top, right, bottom. */
  area() {
    const { left, top, right, bottom } = this.viewport().element.getBoundingClientRect();
    return [left, top, right, bottom];
  },

  /** Every viewport: where it is on the page, and the points in millimetres at its corner and one pixel beside and below. */
  panes() {
    const { viewportGridService, cornerstoneViewportService } = window.services;
    return [...viewportGridService.getState().viewports.keys()].map(id => {
      const viewport = cornerstoneViewportService.getCornerstoneViewport(id);
      const { left, top, right, bottom } = viewport.element.getBoundingClientRect();
      return [[left, top, right, bottom], [[0, 0], [1, 0], [0, 1]].map(place => [...viewport.canvasToWorld(place)])];
    });
  },

  /** What asks or tells the reader something over the images. */
  dialogs() {
    return [...document.querySelectorAll('[role=dialog], [data-cy=yes-hydrate-btn], .shepherd-element')].map(each => each.innerText);
  },
};

/** Row and column (PS3.3 C.7.6.2.1.1), each axis with its own spacing; 0 is the outer edge of the first pixel. */
function pixel(imageId, point) {
  const plane = window.cornerstone.metaData.get('imagePlaneModule', imageId);
  const offset = point.map((value, axis) => value - plane.imagePositionPatient[axis]);
  const along = cosines => cosines.reduce((sum, cosine, axis) => sum + cosine * offset[axis], 0);
  return [along(plane.columnCosines) / plane.rowPixelSpacing + 0.5, along(plane.rowCosines) / plane.columnPixelSpacing + 0.5];
}
