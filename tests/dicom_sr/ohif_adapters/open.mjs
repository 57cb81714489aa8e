// Opens DICOM results as OHIF 3.13.2 does, and prints what it makes of them as JSON.
//
//   node open.mjs FOLDER...     each with sources/ and results/
//   -> [{ measurements: { file: [{ tool, label, finding, image, frame, points }] },
//         masks: { file: [{ "image:frame": [segment number per pixel] }] } }], one a folder
//
// Documents that OHIF shows as text, and those whose groups have no place, give no measurement.
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

const openAll = folder =>
  fs.readdirSync(folder).filter(name => name.endsWith('.dcm')).sort().map(name => open(path.join(folder, name)));

// Every frame under its imageId, with its functional groups unfolded, as OHIF's metadata provider gives it.
const frames = new Map();
function addFrames(dataset) {
  const unfolded = groups => Object.assign({}, ...Object.values(groups ?? {}).map(group => [group].flat()[0]));
  for (let frame = 1; frame <= (dataset.NumberOfFrames ?? 1); frame += 1) {
    const shared = [dataset.SharedFunctionalGroupsSequence].flat()[0];
    const own = [dataset.PerFrameFunctionalGroupsSequence].flat()[frame - 1];
    frames.set(`wadors:${dataset.SOPInstanceUID}/frames/${frame}`, { ...dataset, ...unfolded(shared), ...unfolded(own), frame });
  }
}

// What OHIF's metadata provider answers for an image; defaults where a radiograph says nothing of its place.
metaData.addProvider((type, imageId) => {
  const image = frames.get(imageId);
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

function measurementsOf(dataset, imageIds) {
  const root = [dataset.ConceptNameCodeSequence].flat()[0];
  const content = [dataset.ContentSequence].flat();
  const hasGroups = content.some(item => [item.ConceptNameCodeSequence].flat()[0]?.CodeMeaning === 'Imaging Measurements');
  if (root.CodeValue !== '126000' || !hasGroups) {
    return [];
  }
  const byUid = Object.fromEntries(imageIds.map(id => [`${frames.get(id).SOPInstanceUID}:${frames.get(id).frame}`, id]));
  const tools = adaptersSR.Cornerstone3D.MeasurementReport.generateToolState(dataset, byUid, metaData);
  return Object.entries(tools).flatMap(([tool, found]) =>
    found.map(({ annotation, finding }) => {
      const image = frames.get(annotation.metadata.referencedImageId);
      return {
        tool,
        label: annotation.data.label,
        finding: finding?.CodeMeaning ?? null,
        image: image?.SOPInstanceUID ?? null,
        frame: image?.frame ?? null,
        points: annotation.data.handles.points.map(point => Array.from(point)),
      };
    })
  );
}

async function masksOf(dataset, buffer, imageIds) {
  const series = [dataset.ReferencedSeriesSequence].flat()[0].SeriesInstanceUID;
  const shown = imageIds.filter(id => frames.get(id).SeriesInstanceUID === series);
  const opened = await adaptersSEG.Cornerstone3D.Segmentation.createLabelmapsFromDICOMBuffer(shown, buffer, metaData, { tolerance: 1e-3 });
  return opened.labelMapImages.map(group =>
    Object.fromEntries(
      group.map((image, index) => {
        const { SOPInstanceUID, frame } = frames.get(shown[index]);
        return [`${SOPInstanceUID}:${frame}`, Array.from(image.voxelManager.getScalarData())];
      })
    )
  );
}

const answers = [];
for (const folder of process.argv.slice(2)) {
  frames.clear();
  openAll(path.join(folder, 'sources')).forEach(({ dataset }) => addFrames(dataset));
  const answer = { measurements: {}, masks: {} };
  for (const { name, dataset, buffer } of openAll(path.join(folder, 'results'))) {
    if (dataset.Modality === 'SR') {
      answer.measurements[name] = measurementsOf(dataset, [...frames.keys()]);
    } else if (dataset.Modality === 'SEG') {
      answer.masks[name] = await masksOf(dataset, buffer, [...frames.keys()]);
    }
  }
  answers.push(answer);
}
process.stdout.write(JSON.stringify(answers), () => process.exit(0));
