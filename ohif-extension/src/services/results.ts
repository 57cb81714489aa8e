/** Which of a study's display sets are Sightline's newest results. Pure: it only looks. */

import type { Code, ContentItem, DisplaySet } from '../ohif';

export const MANUFACTURER = 'Sightline';

export interface Result {
  report: DisplaySet;
  segmentations: DisplaySet[];
}

export function isOurs(displaySet: DisplaySet): boolean {
  return ['SR', 'SEG'].includes(displaySet.Modality) && displaySet.instance?.Manufacturer === MANUFACTURER;
}

/** Series Number of the findings; draft report, measurements and failures are documents of other series. */
const FINDINGS_SERIES = 9001;

/** When a version was made, to the microsecond; OHIF shows the newest instance of a series. */
function moment(displaySet: DisplaySet): string {
  return `${displaySet.instance?.ContentDate ?? ''} ${displaySet.instance?.ContentTime ?? ''}`;
}

/** The newest findings of each study, with the masks of the same places; older ones stay in the series list. */
export function newestResults(displaySets: readonly DisplaySet[]): Result[] {
  const reports = new Map<string, DisplaySet>();
  const findings = displaySets.filter(
    each => each.Modality === 'SR' && isOurs(each) && Number(each.instance?.SeriesNumber) === FINDINGS_SERIES
  );
  for (const report of findings) {
    const other = reports.get(report.StudyInstanceUID);
    if (!other || moment(report) > moment(other)) {
      reports.set(report.StudyInstanceUID, report);
    }
  }
  return [...reports.values()].map(report => {
    const places = new Set(uidsIn(report.instance?.ContentSequence));
    return {
      report,
      segmentations: newestOfSeries(
        displaySets.filter(each => each.Modality === 'SEG' && isOurs(each) && each.StudyInstanceUID === report.StudyInstanceUID)
      ).filter(each => asList(each.instance?.SegmentSequence).some(segment => places.has(segment.TrackingUID ?? ''))),
    };
  });
}

/** OHIF makes a display set of each version of a Segmentation that it comes to know. */
function newestOfSeries(displaySets: readonly DisplaySet[]): DisplaySet[] {
  const version = (each: DisplaySet) => Number(each.instance?.InstanceNumber ?? 0);
  return displaySets.filter(
    each => !displaySets.some(other => other.SeriesInstanceUID === each.SeriesInstanceUID && version(other) > version(each))
  );
}

/** Tracking UIDs of a document's places: the only UIDs that stand as values in its content. */
function uidsIn(content: ContentItem[] | ContentItem | undefined): string[] {
  return asList(content).flatMap(item => [...(item.UID ? [item.UID] : []), ...uidsIn(item.ContentSequence)]);
}

/** A sequence of one item may come as that item. */
export function asList<T>(sequence: T[] | T | undefined): T[] {
  return sequence === undefined ? [] : Array.isArray(sequence) ? sequence : [sequence];
}

/** Whether a box is about a normal structure: in our reports that is its own site, and an abnormal finding sits in another. */
export function isStructure({ finding, findingSites }: { finding?: Code; findingSites?: Code[] }): boolean {
  return finding !== undefined && (findingSites ?? []).some(site => site.ref === finding.ref);
}
