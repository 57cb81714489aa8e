/** A panel on the bench of a unit test: on a server that speaks the contract, beside images that take notes. */

import { cleanup, configure, render, screen, waitFor } from '@testing-library/react';
import { afterEach, beforeEach, expect } from 'vitest';

import { Keys, type Command } from '../services/keys';
import { storeReader } from '../services/reader';
import { Seat } from '../services/seat';
import type { Verdict } from '../services/verdicts';
import { CONTRACT, Images, StandIn } from '../standin';
import { StudyPanel } from './FindingsPanel';

export const NODULE = 'There is a nodule in the right lung.';

// A busy machine is no failure, and jsdom is slow to say what is hidden.
configure({ asyncUtilTimeout: 20_000, defaultHidden: true, getElementError: message => new Error(message ?? '') });

class Bench {
  api!: StandIn;
  images!: Images;
  private keys!: Keys;
  private seat: Seat | null = null;

  async start(): Promise<void> {
    this.api = await new StandIn().start();
    this.images = new Images();
    this.keys = new Keys();
    this.seat = null;
    storeReader({ family: 'Curie', given: 'Marie', organization: 'Institut' });
  }

  async stop(): Promise<void> {
    cleanup();
    localStorage.clear();
    sessionStorage.clear();
    await this.api.stop();
  }

  /** Load the page anew: only what the browser keeps is left. */
  reload(): void {
    cleanup();
    this.seat = null;
  }

  private get taken(): Seat {
    this.seat ??= new Seat(CONTRACT.study_uid, this.images);
    return this.seat;
  }

  /** Show the panel, also again after `cleanup`, and wait for the report where there is one. */
  async open(): Promise<HTMLElement> {
    const { container } = render(<StudyPanel seat={this.taken} keys={this.keys} />);
    if (this.api.study?.report?.impression) {
      await screen.findByText(this.api.study.report.impression);
    }
    return container;
  }

  /** Show the panel with another study beside; returns how to look at that one and back again. */
  async beside(isActive: boolean): Promise<{ rerender(isActive: boolean): void }> {
    const panel = (is: boolean) => (
      <StudyPanel seat={this.taken} title="Study of 2026-03-04" isActive={is} keys={this.keys} />
    );
    const { rerender } = render(panel(isActive));
    await screen.findByText(CONTRACT.report.impression);
    return { rerender: is => rerender(panel(is)) };
  }

  /** Press keys somewhere in the viewer. */
  press(...commands: Command[]): void {
    commands.forEach(command => this.keys.press(command));
  }

  /** What was sent of verdicts so far. */
  get verdicts(): Verdict[] {
    return this.api.posted.flatMap(({ body }) => (body as { verdicts?: Verdict[] }).verdicts ?? []);
  }
}

/** The bench, set up anew for every test of a file, with a reader's name. */
export function useBench(): Bench {
  const bench = new Bench();
  beforeEach(() => bench.start());
  afterEach(() => bench.stop());
  return bench;
}

/** The button of a sentence. */
export function sentence(words: string): HTMLElement {
  const all = [...document.querySelectorAll<HTMLElement>('.sightline-sentence')];
  return all.find(each => each.textContent!.includes(words)) ?? expect.fail(`no sentence: ${words}`);
}

export function row(words: string): HTMLElement {
  return sentence(words).closest('li')!;
}

/** Until as many sentences as given are marked so. */
export async function marked(judgement: 'accepted' | 'edited' | 'added', count = 1): Promise<void> {
  const marks = () => [...document.querySelectorAll('.sightline-decided')].filter(each => each.textContent === judgement);
  await waitFor(() => expect(marks()).toHaveLength(count));
}
