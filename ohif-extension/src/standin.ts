/** What the panel meets in its unit tests: an API on a free port that starts with the contract's file, and images that take notes. */

import { EventSource } from 'eventsource';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { vi } from 'vitest';

import type { Question, StudyState } from './services/events';
import type { Places } from './services/places';
import type { Answered, QuestionIn } from './services/questions';
import type { Report, StudyReport } from './services/reports';
import type { DecisionIn } from './services/verdicts';
import type { components } from './types';

export const CONTRACT = JSON.parse(readFileSync('../tests/contract/report.json', 'utf8')) as StudyReport & { report: Report };

export class StandIn {
  study: StudyReport | null = structuredClone(CONTRACT);
  /** Every body that was posted, with its resource. */
  posted: { path: string; body: unknown }[] = [];
  /** What the next posts get instead of an answer, the first first. */
  problems: { status: number; body: object }[] = [];
  questions: Question[] = [];
  session: components['schemas']['Session'] = { is_asked: false, login: '', name: '', organization: '', rights: [] };
  /** The session has ended: nothing is told or taken any more. */
  isSignedOut = false;
  private versions: Report[] = [structuredClone(CONTRACT.report)];
  private lines: ServerResponse[] = [];
  private server: Server | undefined;
  private port = 0;

  /** Listen, and let the page's origin be this server. A port that it had before is taken again. */
  async start(): Promise<this> {
    // A machine that is slow must not find an idle connection closed.
    this.server = createServer({ keepAliveTimeout: 600_000 }, (request, response) => void this.answer(request, response));
    await new Promise<void>(resolve => this.server!.listen(this.port, '127.0.0.1', resolve));
    this.port = (this.server.address() as AddressInfo).port;
    vi.stubGlobal('location', { origin: `http://127.0.0.1:${this.port}` });
    vi.stubGlobal('EventSource', EventSource);
    return this;
  }

  async stop(): Promise<void> {
    this.lines.forEach(line => line.destroy());
    this.lines = [];
    this.server?.closeAllConnections();
    await new Promise(resolve => this.server?.close(resolve));
  }

  /** What a session that ends does to the lines that are open. */
  signOut(): void {
    this.isSignedOut = true;
    this.lines.splice(0).forEach(line => line.end());
  }

  tell(event: 'study' | 'question', data: unknown): void {
    this.lines.forEach(line => line.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`));
  }

  state(change: Partial<StudyState> = {}): StudyState {
    const report = this.study?.report;
    return {
      study_uid: CONTRACT.study_uid,
      state: this.study?.state ?? null,
      reason: this.study?.reason ?? '',
      progress: null,
      outcome: report?.outcome ?? null,
      findings: 2,
      signed: false,
      document_uid: report?.document_uid ?? null,
      version: report?.version ?? null,
      ...change,
    };
  }

  /** Another radiologist changes the report. */
  overtake(change: (report: Report) => void): void {
    this.version(change);
    this.tell('study', this.state());
  }

  reply(question: Question, answer: Partial<Answered>): void {
    const whole: Answered = {
      sentence: '',
      name: '',
      side: null,
      confidence: null,
      places: [],
      cited: null,
      model: CONTRACT.report.model,
      ...answer,
    };
    this.tell('question', { ...question, state: 'answered', updated: '2026-03-04T15:07:00Z', answer: whole });
  }

  private version(change: (report: Report) => void): void {
    const report = structuredClone(this.study!.report!);
    report.version += 1;
    report.document_uid = `2.25.9${report.version}`;
    change(report);
    this.versions.unshift(report);
    this.study = { ...this.study!, report };
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url!, 'http://localhost').pathname.replace(`/api/v1/studies/${CONTRACT.study_uid}`, '');
    const body: unknown = request.method === 'POST' ? JSON.parse(await text(request)) : null;
    if (this.isSignedOut) {
      response.writeHead(401, { 'Content-Type': 'application/problem+json' }).end(JSON.stringify({ detail: 'Sign in first.' }));
      return;
    }
    if (path === '/events') {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write(`event: study\ndata: ${JSON.stringify(this.state())}\n\n`);
      this.lines.push(response);
      return;
    }
    const { status, body: said } = request.method === 'POST' ? this.take(path, body) : this.look(path);
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(said));
  }

  private look(path: string): { status: number; body: unknown } {
    switch (path) {
      case '/report':
        return this.study ? { status: 200, body: this.study } : { status: 404, body: { detail: 'Not known.' } };
      case '/api/v1/session':
        return { status: 200, body: this.session };
      case '/report/history':
        return { status: 200, body: this.versions };
      default:
        return { status: 200, body: this.questions };
    }
  }

  private take(path: string, body: unknown): { status: number; body: unknown } {
    this.posted.push({ path, body });
    const problem = this.problems.shift();
    if (problem) {
      return problem;
    }
    if (path === '/questions') {
      const question = { question_id: this.questions.length + 1, study_uid: CONTRACT.study_uid, asked: body as QuestionIn };
      this.questions.push({ ...question, state: 'queued', reason: '', answer: null, created: MOMENT, updated: MOMENT });
      return { status: 202, body: this.questions.at(-1) };
    }
    if (path === '/rejection') {
      const { person, reason } = body as { person: DecisionIn['person']; reason: 'wording' };
      this.study = { ...this.study!, report: null, taken_back: { number: 0, reason, person, moment: MOMENT } };
      return { status: 200, body: this.study };
    }
    this.decide(body as DecisionIn);
    return { status: 200, body: this.study };
  }

  /** Verdicts in their simplest sense; what they really lead to is tested where it is decided. */
  private decide({ person, verdicts, sign }: DecisionIn): void {
    this.version(report => {
      for (const verdict of verdicts) {
        const at = report.findings.findIndex(each => 'number' in verdict && each.number === verdict.number);
        const finding = report.findings[at];
        if (verdict.verdict === 'accept' && finding) {
          finding.decided = { judgement: 'accepted', person, moment: MOMENT };
        } else if (verdict.verdict === 'edit' && finding) {
          const { sentence, side, presence } = verdict;
          report.findings[at] = { ...finding, sentence, side, presence, decided: { judgement: 'edited', person, moment: MOMENT } };
        } else if (verdict.verdict === 'reject' && finding) {
          report.findings.splice(at, 1);
          report.rejected.push({ number: finding.number, reason: verdict.reason, person, moment: MOMENT });
        } else if (verdict.verdict === 'add') {
          const { sentence, name, side, presence } = verdict;
          const decided = { judgement: 'added' as const, person, moment: MOMENT };
          report.findings.push({
            ...report.findings[0]!,
            number: 99,
            kind: 'finding',
            sentence,
            name,
            side,
            presence,
            places: [],
            decided,
          });
        } else if (verdict.verdict === 'restore') {
          const then = this.versions.find(each => each.version === verdict.version)!.findings.find(each => each.number === verdict.number);
          report.findings = [...report.findings.filter(each => each.number !== verdict.number), ...(then ? [then] : [])];
          report.rejected = report.rejected.filter(each => each.number !== verdict.number);
        }
      }
      report.verified_by = sign ? person : null;
    });
  }
}

export const MOMENT = '2026-03-04T15:06:30Z';

async function text(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) {
    parts.push(part as Buffer);
  }
  return Buffer.concat(parts).toString();
}

/** Images of which every use is noted. */
export class Images implements Places {
  did: string[] = [];
  /** What the reader points at next. */
  pointed: unknown = null;
  drawnPlace: ReturnType<Places['drawn']> = null;
  click: (trackingUid: string | null) => void = () => undefined;
  private areOn = true;

  async goTo({ series_uid, start }: Parameters<Places['goTo']>[0], colour: string): Promise<void> {
    this.did.push(`go to ${series_uid} slice ${start[0]} in ${colour}`);
  }
  preview(place: Parameters<Places['preview']>[0]): void {
    this.did.push(place ? `preview ${place.tracking_uid}` : 'no preview');
  }
  select(trackingUid: string | null): void {
    this.did.push(`light ${trackingUid}`);
  }
  onSelected(heard: (trackingUid: string | null) => void): () => void {
    this.click = heard;
    return () => (this.click = () => undefined);
  }
  toggleOverlays(): boolean {
    this.areOn = !this.areOn;
    return this.areOn;
  }
  async refresh(): Promise<void> {
    this.did.push('refresh');
  }
  drawn() {
    return this.drawnPlace;
  }
  async draw(...[tool, place]: Parameters<Places['draw']>): Promise<void> {
    this.did.push(`${tool ?? 'no tool'} for ${place?.tracking_uid ?? 'a new place'}`);
  }
  clearDrawn(): void {
    this.did.push('nothing drawn');
  }
  async edited({ tracking_uid }: { tracking_uid: string }) {
    return {
      tracking_uid,
      series_uid: '2.25.2000',
      start: [1, 2, 3] as [number, number, number],
      stop: [2, 4, 6] as [number, number, number],
      mask: 'gA==',
    };
  }
  async showDraft(places: Parameters<Places['showDraft']>[0]): Promise<void> {
    this.did.push(`draft of ${places.length}`);
  }
  clearDraft(): void {
    this.did.push('no draft');
  }
  async pick(): Promise<never> {
    return this.pointed as never;
  }
  describe() {
    return { words: 'CT thorax', slices: 4 };
  }
  here() {
    return { series_uid: '2.25.2000', slice: 1 };
  }
  async togglePrior(): Promise<boolean> {
    return false;
  }
}
