/** A column of OHIF's study list: what the assistant did with each study. */

import { element } from '../element';
import type { components } from '../types';
import { call } from './api';

type StudyState = components['schemas']['StudyState'];

interface Row {
  original?: { studyInstanceUid?: string };
  studyInstanceUid?: string;
}

/** A column as OHIF's table has it; the functions are the table's own. */
export interface Column {
  id: string;
  header?: unknown;
  accessorFn?: (row: Row) => unknown;
  cell?: (context: { row: Row }) => unknown;
  meta?: { label: string; minWidth: number };
}

const COLUMN_ID = 'sightline';
const ASK_AGAIN_MS = 5000;
const AT_ONCE = 200;
const COLOURS = { none: '#8fa9bb', busy: '#5acce6', found: '#f3d795', well: '#7bd88f', bad: '#f4a6a3' };

export class Worklist {
  private readonly states = new Map<string, StudyState>();
  private readonly cells = new Map<HTMLElement, string>();
  private timer: ReturnType<typeof setTimeout> | null = null;

  /** OHIF's columns with ours before the last, which holds the buttons. */
  readonly withColumn = (columns: readonly Column[]): Column[] => {
    const others = columns.filter(each => each.id !== COLUMN_ID);
    return [...others.slice(0, -1), this.column(others), ...others.slice(-1)];
  };

  private column(others: readonly Column[]): Column {
    return {
      id: COLUMN_ID,
      header: others.find(each => each.id === 'description')?.header ?? 'AI',
      accessorFn: row => inWords(this.states.get(row.studyInstanceUid ?? '')).words,
      cell: ({ row }) => this.cell(row.original?.studyInstanceUid ?? ''),
      // A column with a priority would be left out where the list is narrow.
      meta: { label: 'AI', minWidth: 110 },
    };
  }

  private cell(studyUid: string): object {
    return element(
      cell => {
        if (cell) {
          this.cells.set(cell, studyUid);
          this.fill(cell, studyUid);
          this.askSoon(0);
        }
      },
      { className: 'sightline-state' }
    );
  }

  private fill(cell: HTMLElement, studyUid: string): void {
    const { words, title, colour } = inWords(this.states.get(studyUid));
    cell.textContent = words;
    cell.title = title;
    cell.style.color = colour;
  }

  private askSoon(milliseconds: number): void {
    if (this.timer === null) {
      this.timer = setTimeout(() => void this.ask(), milliseconds);
    }
  }

  /** Ask for all studies on the screen at once, as long as there are any. */
  private async ask(): Promise<void> {
    this.cells.forEach((_, cell) => cell.isConnected || this.cells.delete(cell));
    const uids = [...new Set(this.cells.values())].filter(Boolean);
    if (document.visibilityState === 'visible') {
      for (let first = 0; first < uids.length; first += AT_ONCE) {
        const query = uids.slice(first, first + AT_ONCE).map(uid => `study_uid=${encodeURIComponent(uid)}`);
        const reply = await call<StudyState[]>(`/studies/states?${query.join('&')}`);
        if (reply.kind === 'ok') {
          reply.body.forEach(state => this.states.set(state.study_uid, state));
        }
      }
      this.cells.forEach((uid, cell) => this.fill(cell, uid));
    }
    this.timer = null;
    if (uids.length > 0) {
      this.askSoon(ASK_AGAIN_MS);
    }
  }
}

/** A study's state for a narrow column; the title says more. A study that was never read has no words: that is no result. */
export function inWords(state: StudyState | undefined): { words: string; title: string; colour: string } {
  if (!state || (state.state === null && state.outcome === null)) {
    return { words: '', title: 'Not read by AI', colour: COLOURS.none };
  }
  const said = (words: string, colour: string, title = state.reason) => ({ words, title, colour });
  switch (state.state) {
    case 'arriving':
      return said('Arriving', COLOURS.busy);
    case 'queued':
      return said('Queued', COLOURS.busy);
    case 'running':
      return said(state.progress ? `Reading ${Math.round(100 * state.progress.share)} %` : 'Reading', COLOURS.busy, state.progress?.doing);
    case 'refused':
      return said('Not read', COLOURS.none);
    case 'failed':
      return said('Failed', COLOURS.bad);
    default:
  }
  if (state.signed) {
    return said('Signed', COLOURS.well, `Signed by a radiologist; ${plural(state.findings)}`);
  }
  switch (state.outcome) {
    case 'nothing found':
      return said('Nothing found', COLOURS.none, 'The model stated no abnormality; not verified');
    case 'withheld':
      return said('Withheld', COLOURS.found);
    case 'partly read':
      return said(`Partly read, ${plural(state.findings)}`, COLOURS.found);
    case 'not read':
      return said('Not read', COLOURS.bad);
    case 'found':
      return said(plural(state.findings), COLOURS.found, 'Draft by AI, not verified');
    default:
      return said('No report', COLOURS.none);
  }
}

function plural(findings: number): string {
  return findings === 1 ? '1 finding' : `${findings} findings`;
}
