/** The report of a study, from Sightline's API. */

import type { components } from '../types';
import { call, ofStudy, type Away } from './api';

export type StudyReport = components['schemas']['StudyReport'];
export type Report = components['schemas']['ReportBody'];
export type Statement = components['schemas']['Statement'];
export type Place = components['schemas']['Place'];
export type Look = components['schemas']['Look'];

/** What the panel can say of a study. */
export type Answer = { kind: 'known'; study: StudyReport } | { kind: 'unknown' } | Away;

/** Ask once. Never throws: an API that is away is an answer too. */
export async function askForReport(studyUid: string, signal?: AbortSignal): Promise<Answer> {
  const reply = await call<StudyReport>(ofStudy(studyUid, '/report'), { signal });
  if (reply.kind === 'ok') {
    const study = readStudy(reply.body);
    return study ? { kind: 'known', study } : { kind: 'away', why: 'Sightline answers in words of another version.' };
  }
  if (reply.kind === 'refused' && reply.status === 404) {
    return { kind: 'unknown' };
  }
  return reply.kind === 'away' ? reply : { kind: 'away', why: reply.detail };
}

/** Every version of the study's report, the newest first; null where they cannot be had now. */
export async function askForHistory(studyUid: string): Promise<Report[] | null> {
  const reply = await call<Report[]>(ofStudy(studyUid, '/report/history'));
  return reply.kind === 'ok' && Array.isArray(reply.body) ? reply.body.map(readReport) : null;
}

/** Work on the study goes on, so there will be more to say soon. */
export function isPending(answer: Answer): boolean {
  return answer.kind === 'known' && ['arriving', 'queued', 'running'].includes(answer.study.state ?? '');
}

/** A report that only says why nothing could be read is none. */
export function isRead(study: StudyReport): boolean {
  return study.report !== null && study.report.outcome !== 'not read';
}

/** What an API of another version said, with what this one knows filled in; null where it is no report at all. */
export function readStudy(body: unknown): StudyReport | null {
  const study = body as Partial<StudyReport> | null;
  if (typeof study !== 'object' || study === null || !('report' in study) || (study.report && !Array.isArray(study.report.findings))) {
    return null;
  }
  const defaults = { notice: '', state: null, reason: '', taken_back: null, progress: null, thinking: [] };
  return { ...defaults, ...study, report: study.report ? readReport(study.report) : null } as StudyReport;
}

function readReport(report: Report): Report {
  const defaults = { withheld: [], failures: [], rejected: [], verified_by: null, impression: '' };
  return { ...defaults, ...report, findings: report.findings.map(readStatement) };
}

function readStatement(statement: Statement): Statement {
  return { ...{ flags: [], places: [], decided: null, side: null, kind: '', colour: '#5acce6', urgency: 'routine' }, ...statement };
}
