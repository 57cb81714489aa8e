/** The report of a study, from Sightline's API on the same origin. */

import type { components } from '../types';

export type StudyReport = components['schemas']['StudyReport'];
export type Statement = components['schemas']['Statement'];
export type Place = components['schemas']['Place'];

/** What the panel can say of a study. */
export type Answer = { kind: 'known'; study: StudyReport } | { kind: 'unknown' } | { kind: 'away'; why: string };

/** Ask once. Never throws: an API that is away is an answer too. */
export async function askForReport(studyUid: string, signal: AbortSignal): Promise<Answer> {
  let response: Response;
  try {
    response = await fetch(`/api/v1/studies/${encodeURIComponent(studyUid)}/report`, { signal });
  } catch {
    return { kind: 'away', why: 'Sightline does not answer.' };
  }
  if (response.status === 404) {
    return { kind: 'unknown' };
  }
  const body: unknown = await response.json().catch(() => null);
  if (response.ok && body) {
    return { kind: 'known', study: body as StudyReport };
  }
  const detail = (body as { detail?: string } | null)?.detail;
  return { kind: 'away', why: detail ?? `Sightline answers with an error (${response.status}).` };
}

/** Work on the study goes on, so there will be more to say soon. */
export function isPending(answer: Answer): boolean {
  return answer.kind === 'known' && ['arriving', 'queued', 'running'].includes(answer.study.state ?? '');
}
