/** Which of a study's display sets are Sightline's newest results. Pure: it only looks. */

import type { Code, DisplaySet, Measurement } from '../ohif';

export const MANUFACTURER = 'Sightline';

export interface Result {
  report: DisplaySet;
  segmentations: DisplaySet[];
}

export function isOurs(displaySet: DisplaySet): boolean {
  return ['SR', 'SEG'].includes(displaySet.Modality) && displaySet.instance?.Manufacturer === MANUFACTURER;
}

/** Objects of one reading share content date and time, to the microsecond: the moment at which it began. */
function moment(displaySet: DisplaySet): string {
  return `${displaySet.instance?.ContentDate ?? ''} ${displaySet.instance?.ContentTime ?? ''}`;
}

/** The newest result of each study, with the segmentations of the same reading; older ones stay in the series list. */
export function newestResults(displaySets: readonly DisplaySet[]): Result[] {
  const reports = new Map<string, DisplaySet>();
  for (const report of displaySets.filter(each => each.Modality === 'SR' && isOurs(each))) {
    const other = reports.get(report.StudyInstanceUID);
    if (!other || moment(report) > moment(other)) {
      reports.set(report.StudyInstanceUID, report);
    }
  }
  return [...reports.values()].map(report => ({
    report,
    segmentations: displaySets.filter(
      each =>
        each.Modality === 'SEG' &&
        isOurs(each) &&
        each.StudyInstanceUID === report.StudyInstanceUID &&
        moment(each) === moment(report)
    ),
  }));
}

/** The box that OHIF drew for a sentence on one image; a box whose label was changed is still found by its image. */
export function findBox(measurements: readonly Measurement[], sentence: string, instanceUid: string): Measurement | undefined {
  const onImage = measurements.filter(each => each.SOPInstanceUID === instanceUid);
  return onImage.find(each => each.label === sentence) ?? onImage[0];
}

/** Whether a box is about a normal structure: in our reports that is its own site, and an abnormal finding sits in another. */
export function isStructure({ finding, findingSites }: { finding?: Code; findingSites?: Code[] }): boolean {
  return finding !== undefined && (findingSites ?? []).some(site => site.ref === finding.ref);
}
