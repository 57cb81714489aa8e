/** The findings of a report in the order in which they are read: by urgency, then what is absent, then what is normal. */

import type { Report, Statement } from './reports';

export type Group = 'critical' | 'urgent' | 'routine' | 'absent' | 'structures';

export const GROUPS: readonly { group: Group; title: string }[] = [
  { group: 'critical', title: 'Critical' },
  { group: 'urgent', title: 'Urgent' },
  { group: 'routine', title: 'Routine' },
  { group: 'absent', title: 'Looked at, found absent' },
  { group: 'structures', title: 'Structures' },
];

/**
 * An urgency that this version does not know must not hide a finding, and a structure that needs a second look is neither folded away nor
 * accepted with all the others.
 */
export function groupOf({ presence, kind, urgency, flags }: Statement): Group {
  if (presence === 'absent') {
    return 'absent';
  }
  if (kind === 'structure' && flags.length === 0) {
    return 'structures';
  }
  return urgency === 'critical' || urgency === 'urgent' ? urgency : 'routine';
}

export function grouped(report: Report): Map<Group, Statement[]> {
  const groups = new Map<Group, Statement[]>(GROUPS.map(({ group }) => [group, []]));
  for (const statement of report.findings) {
    groups.get(groupOf(statement))!.push(statement);
  }
  return groups;
}

/** The sentences that a signature waits for. */
export function undecided(report: Report): Statement[] {
  return report.findings.filter(each => each.decided === null);
}

/** Modalities whose images are no slices of a volume. */
const FILM = /^(CR|DX|MG|RF|XA|IO|PX)\b/;

/** A place in words; slices are counted from 1 as viewers do. */
export function inWords(
  { start, stop }: { start: readonly number[]; stop: readonly number[] },
  series?: { words: string; slices: number } | null
): string {
  const [first, last] = [start[0]! + 1, stop[0]!];
  const isImage = series ? series.slices === 1 : last === 1;
  const name = series && FILM.test(series.words) ? 'image' : 'slice';
  const slices = isImage ? '' : first === last ? `${name} ${first}` : `${name}s ${first} to ${last}`;
  return [series?.words, slices].filter(Boolean).join(', ') || 'on the image';
}
