/** The panel beside the images: the report of the study in the active viewport, and everything that is done with it. */

import { useEffect, useRef, useState, type KeyboardEvent } from 'react';

import type { Host } from '../ohif';
import type { Keys } from '../services/keys';
import type { Seat } from '../services/seat';
import { useStore } from '../services/store';
import { AskBox } from './AskBox';
import { History } from './History';
import { KeyMap } from './KeyMap';
import { Notices } from './Notices';
import { Player } from './Player';
import { ReaderForm } from './ReaderForm';
import { ReportView } from './ReportView';
import { SignBar } from './SignBar';
import { StatusView } from './StatusView';
import { STYLE } from './style';
import { Tools } from './Tools';

export function FindingsPanel({ host, seatOf, keys }: { host: Host; seatOf: SeatOf; keys: Keys }) {
  const { active, seen } = useSeenStudies(host);
  return (
    <section className="sightline" aria-label="AI findings">
      <style>{STYLE}</style>
      {active === null && <p className="sightline-quiet">No study is shown in the active viewport.</p>}
      {[...seen].map(([studyUid, date]) => (
        <StudyPanel
          key={studyUid}
          seat={seatOf(studyUid)}
          title={seen.size > 1 ? `Study of ${date || 'unknown date'}` : ''}
          isActive={studyUid === active}
          keys={keys}
        />
      ))}
    </section>
  );
}

/** The seat before a study: one, however often OHIF takes the panel away and shows it again. */
export type SeatOf = (studyUid: string) => Seat;

interface Props {
  seat: Seat;
  /** Tells the study from others that are open beside it. */
  title?: string;
  /** Another study is in the active viewport: nothing is shown, and nothing that was typed is lost. */
  isActive?: boolean;
  keys: Keys;
}

/** What the panel shows of one study. */
export function StudyPanel({ seat, title = '', isActive = true, keys }: Props) {
  const { form } = useStore(seat);
  const { answer } = useStore(seat.reading);
  const question = useRef<HTMLInputElement>(null);

  useEffect(() => seat.start(), [seat]);
  useEffect(() => (isActive ? keys.subscribe(command => seat.press(command)) : undefined), [seat, keys, isActive]);
  useEffect(() => {
    seat.onAsk = () => question.current?.focus();
  }, [seat]);

  const study = answer?.kind === 'known' ? answer.study : null;
  return (
    <div className="sightline-column" hidden={!isActive} onKeyDown={event => hear(event, seat)}>
      {title && <h2>{title}</h2>}
      <StatusView seat={seat} />
      <div className="sightline-scroll">
        <Tools seat={seat} />
        <Player seat={seat} />
        {form === 'keys' && <KeyMap seat={seat} />}
        {form === 'reader' && <ReaderForm seat={seat} />}
        {form === 'history' && <History seat={seat} />}
        {study && <ReportView study={study} seat={seat} />}
      </div>
      <Notices seat={seat} />
      {study && <AskBox seat={seat} input={question} />}
      {study?.report && <SignBar seat={seat} report={study.report} />}
    </div>
  );
}

/** Letters are commands wherever the focus is; the rest is the panel's own while the focus is in it, and no hotkey of the viewer's. */
function hear(event: KeyboardEvent, seat: Seat): void {
  if (!/^[\p{L}?/]$/u.test(event.key)) {
    event.stopPropagation();
  }
  if (event.key === 'Escape' && seat.get().form) {
    seat.open(null);
  }
}

/** The study in the active viewport, and the dates of all that were there. */
function useSeenStudies({ servicesManager }: Host): { active: string | null; seen: ReadonlyMap<string, string> } {
  const { displaySetService, viewportGridService } = servicesManager.services;
  const [studies, setStudies] = useState<{ active: string | null; seen: ReadonlyMap<string, string> }>({ active: null, seen: new Map() });

  useEffect(() => {
    const look = () => {
      const active = viewportGridService.getActiveViewportId();
      const shown = (active && viewportGridService.getState().viewports.get(active)?.displaySetInstanceUIDs) || [];
      const displaySet = displaySetService.getActiveDisplaySets().find(each => shown.includes(each.displaySetInstanceUID));
      if (displaySet) {
        const { StudyInstanceUID: uid, StudyDate: date = '' } = displaySet;
        const said = date.replace(/^(\d{4})(\d{2})(\d{2})$/, '$1-$2-$3');
        setStudies(before => (before.active === uid ? before : { active: uid, seen: new Map(before.seen).set(uid, said) }));
      }
    };
    look();
    const { ACTIVE_VIEWPORT_ID_CHANGED, GRID_STATE_CHANGED } = viewportGridService.EVENTS;
    const subscriptions = [ACTIVE_VIEWPORT_ID_CHANGED, GRID_STATE_CHANGED].map(event => viewportGridService.subscribe(event, look));
    return () => subscriptions.forEach(subscription => subscription.unsubscribe());
  }, [displaySetService, viewportGridService]);

  return studies;
}
