// Opens DICOM results as OHIF 3.13.2 does, and prints what it makes of them as JSON.
//
//   node open.mjs SOURCE_FOLDER RESULT_FOLDER
//   -> { measurements: [{ file, tool, label, finding, site, image, points }], masks: [{ file, labels, groups: [{ image: [segment number per pixel] }] }] }
import fs from 'fs';
import path from 'path';
import { JSDOM } from 'jsdom';

const dom = new JSDOM('<!doctype html>', { url: 'http://localhost/' });
globalThis.window = dom.window;
globalThis.self = globalThis;
for (const name of ['document', 'HTMLElement', 'HTMLCanvasElement', 'Node', 'Element', 'Event', 'CustomEvent', 'EventTarget', 'Image']) {
  globalThis[name] ??= dom.window[name];
}
const { metaData } = await import('@cornerstonejs/core');
const { adaptersSR, adaptersSEG } = await import('@cornerstonejs/adapters');
const dcmjs = (await import('dcmjs')).default;

console.log = console.warn = console.info = () => {};

function open(file) {
  const bytes = fs.readFileSync(file);
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const part10 = dcmjs.data.DicomMessage.readFile(buffer);
  const dataset = dcmjs.data.DicomMetaDictionary.naturalizeDataset(part10.dict);
  dataset._meta = dcmjs.data.DicomMetaDictionary.namifyDataset(part10.meta);
  return { name: path.basename(file), dataset, buffer };
}

const openAll = folder => fs.readdirSync(folder).sort().map(name => open(path.join(folder, name)));
const [sources, results] = process.argv.slice(2, 4).map(openAll);
const images = new Map(sources.map(({ dataset }) => [`wadors:${dataset.SOPInstanceUID}`, dataset]));

// What OHIF's metadata provider answers for an image; defaults where a radiograph says nothing of its place.
metaData.addProvider((type, imageId) => {
  const image = images.get(imageId);
  if (!image) {
    return undefined;
  }
  const orientation = (image.ImageOrientationPatient ?? [1, 0, 0, 0, 1, 0]).map(Number);
  const spacing = (image.PixelSpacing ?? image.ImagerPixelSpacing ?? [1, 1]).map(Number);
  return {
    imagePlaneModule: {
      frameOfReferenceUID: image.FrameOfReferenceUID,
      rows: image.Rows,
      columns: image.Columns,
      imageOrientationPatient: orientation,
      rowCosines: orientation.slice(0, 3),
      columnCosines: orientation.slice(3),
      imagePositionPatient: (image.ImagePositionPatient ?? [0, 0, 0]).map(Number),
      pixelSpacing: spacing,
      rowPixelSpacing: spacing[0],
      columnPixelSpacing: spacing[1],
    },
    generalSeriesModule: { seriesInstanceUID: image.SeriesInstanceUID, modality: image.Modality },
    generalImageModule: { sopInstanceUID: image.SOPInstanceUID, sopClassUID: image.SOPClassUID },
    sopCommonModule: { sopInstanceUID: image.SOPInstanceUID, sopClassUID: image.SOPClassUID },
    imagePixelModule: {
      rows: image.Rows,
      columns: image.Columns,
      bitsAllocated: 16,
      bitsStored: 12,
      highBit: 11,
      samplesPerPixel: 1,
      pixelRepresentation: 0,
      photometricInterpretation: 'MONOCHROME2',
    },
    instance: image,
  }[type];
}, 10000);

const measurements = [];
const masks = [];
for (const { name, dataset, buffer } of results) {
  if (dataset.Modality === 'SR') {
    const imageIds = Object.fromEntries([...images].map(([id, image]) => [`${image.SOPInstanceUID}:1`, id]));
    const tools = adaptersSR.Cornerstone3D.MeasurementReport.generateToolState(dataset, imageIds, metaData);
    for (const [tool, found] of Object.entries(tools)) {
      for (const { annotation, finding, findingSites } of found) {
        measurements.push({
          file: name,
          tool,
          label: annotation.data.label,
          finding: finding?.CodeMeaning ?? null,
          site: findingSites?.[0]?.CodeMeaning ?? null,
          image: images.get(annotation.metadata.referencedImageId).SOPInstanceUID,
          points: annotation.data.handles.points.map(point => Array.from(point)),
        });
      }
    }
  } else {
    const series = [dataset.ReferencedSeriesSequence].flat()[0].SeriesInstanceUID;
    const imageIds = [...images.keys()].filter(id => images.get(id).SeriesInstanceUID === series);
    const opened = await adaptersSEG.Cornerstone3D.Segmentation.createLabelmapsFromDICOMBuffer(imageIds, buffer, metaData, { tolerance: 1e-3 });
    masks.push({
      file: name,
      labels: opened.segMetadata.data.slice(1).map(segment => segment.SegmentLabel),
      groups: opened.labelMapImages.map(group =>
        Object.fromEntries(group.map((image, index) => [images.get(imageIds[index]).SOPInstanceUID, Array.from(image.voxelManager.getScalarData())]))
      ),
    });
  }
}
process.stdout.write(JSON.stringify({ measurements, masks }), () => process.exit(0));
