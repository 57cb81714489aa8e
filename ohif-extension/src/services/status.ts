/** Where the reading of a study is, in words: silence must never look like a normal result. */

import type { Away } from './api';
import type { StudyState } from './events';
import { spoken } from './reader';
import { isRead, type Answer } from './reports';

export interface Status {
  /** quiet: all is said below; busy: more will come; warning: look twice; alert: there is nothing to rely on. */
  tone: 'quiet' | 'busy' | 'warning' | 'alert';
  words: string;
  /** 0 to 1 where it is known. */
  progress?: number;
  /** Nothing changes before somebody signs in. */
  isSignedOut?: boolean;
}

export function statusOf(answer: Answer | null, away: Away | null, live: StudyState | null): Status[] {
  const said = answer === null ? [{ tone: 'busy', words: 'Asking for the report …' } as const] : statusOfWork(answer, live);
  if (!away || answer?.kind === 'away') {
    return said;
  }
  if (away.isSignedOut) {
    return [{ tone: 'alert', words: `${away.why} What is shown may be old; what you have typed and drawn stays here.`, isSignedOut: true }, ...said];
  }
  return [
    { tone: 'alert', words: `Sightline cannot be reached; what is shown may be old. ${away.why} It is asked again every few seconds.` },
    ...said,
  ];
}

function statusOfWork(answer: Answer, live: StudyState | null): Status[] {
  if (answer.kind === 'away') {
    return answer.isSignedOut
      ? [{ tone: 'alert', words: `${answer.why} No report can be shown now.`, isSignedOut: true }]
      : [{ tone: 'alert', words: `No report can be shown now. ${answer.why} It is asked again every few seconds.` }];
  }
  if (answer.kind === 'unknown' && !live?.state) {
    return [{ tone: 'warning', words: 'This study was not read by AI.' }];
  }
  const study = answer.kind === 'known' ? answer.study : null;
  const state: string | null = live?.state ?? study?.state ?? null;
  const reason = (live?.state ? live.reason : study?.reason) ?? '';
  const hasReport = study !== null && isRead(study);
  const what = hasReport ? 'A newer reading' : 'The reading';
  switch (state) {
    case 'arriving':
      return [
        { tone: 'busy', words: hasReport ? 'More images are arriving.' : 'The images are arriving. They are read when all are there.' },
      ];
    case 'queued':
      return [{ tone: 'busy', words: `${what} waits for its turn. ${reason}` }];
    case 'running': {
      const progress = live?.progress ?? study?.progress ?? null;
      const share = progress ? { progress: progress.share } : {};
      return [{ tone: 'busy', words: `${what} is under way. ${progress?.doing || reason}`, ...share }];
    }
    case 'refused':
      return [{ tone: 'alert', words: `${hasReport ? 'The new images were not read' : 'Not read'}. ${reason}` }];
    case 'failed':
      return [{ tone: 'alert', words: `${what} failed. ${reason}` }, ...(hasReport ? outcome(answer) : [])];
  }
  const other = state === null || state === 'done' ? [] : [{ tone: 'warning' as const, words: `${what}: ${state}. ${reason}` }];
  return [...other, ...outcome(answer)];
}

/** How a reading that has ended did end. */
function outcome(answer: Answer): Status[] {
  if (answer.kind !== 'known') {
    return [{ tone: 'busy', words: 'Asking for the report …' }];
  }
  const { report, taken_back } = answer.study;
  if (!report && taken_back) {
    const when = new Date(taken_back.moment).toLocaleString();
    return [{ tone: 'alert', words: `No report: ${spoken(taken_back.person.name)} took it back on ${when} (${taken_back.reason}).` }];
  }
  if (!report) {
    return [{ tone: 'alert', words: `No report: ${answer.study.reason || 'this study was not read by AI.'}` }];
  }
  const how: string = report.outcome;
  switch (how) {
    case 'found':
      return [];
    case 'nothing found':
      return [{ tone: 'warning', words: 'The AI found nothing abnormal. That is not a normal study: it looks only for what it knows.' }];
    case 'withheld':
      return [
        { tone: 'warning', words: 'What the AI saw did not pass its own checks and is withheld. Read this study as if there were no AI.' },
      ];
    case 'partly read':
      return [{ tone: 'alert', words: 'Only a part of this study was read.' }];
    case 'not read':
      return [{ tone: 'alert', words: 'This study could not be read.' }];
    default:
      return [{ tone: 'warning', words: `The reading ended: ${how}.` }];
  }
}
