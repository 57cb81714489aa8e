/** The report's sentences beside the images; a click goes to the place. */

import { useEffect, useState } from 'react';

import type { Host } from '../ohif';
import { findBox, newestResults } from '../services/results';
import { askForReport, isPending, type Answer, type Place, type Statement } from '../services/reports';
import { ReportView } from './ReportView';
import { STYLE } from './style';

const ASK_AGAIN_MS = 5000;

export function FindingsPanel({ host }: { host: Host }) {
  const studyUid = useShownStudy(host);
  const answer = useReport(studyUid);
  const isDrawn = useDrawn(host, studyUid);
  const goTo = (statement: Statement, place: Place) => {
    const { measurementService, viewportGridService } = host.servicesManager.services;
    const box = findBox(measurementService.getMeasurements(), statement.sentence, place.instance_uid);
    const viewportId = viewportGridService.getActiveViewportId();
    if (box && viewportId) {
      measurementService.jumpToMeasurement(viewportId, box.uid);
    }
  };

  return (
    <div className="sightline">
      <style>{STYLE}</style>
      <ReportView answer={answer} isDrawn={isDrawn} goTo={goTo} />
    </div>
  );
}

/** The study in the active viewport. */
function useShownStudy({ servicesManager }: Host): string | null {
  const { displaySetService, viewportGridService } = servicesManager.services;
  const [studyUid, setStudyUid] = useState<string | null>(null);

  useEffect(() => {
    const look = () => {
      const active = viewportGridService.getActiveViewportId();
      const shown = (active && viewportGridService.getState().viewports.get(active)?.displaySetInstanceUIDs) || [];
      const displaySet = displaySetService.getActiveDisplaySets().find(each => shown.includes(each.displaySetInstanceUID));
      if (displaySet) {
        setStudyUid(displaySet.StudyInstanceUID);
      }
    };
    look();
    const { ACTIVE_VIEWPORT_ID_CHANGED, GRID_STATE_CHANGED } = viewportGridService.EVENTS;
    const subscriptions = [ACTIVE_VIEWPORT_ID_CHANGED, GRID_STATE_CHANGED].map(event => viewportGridService.subscribe(event, look));
    return () => subscriptions.forEach(subscription => subscription.unsubscribe());
  }, [displaySetService, viewportGridService]);

  return studyUid;
}

/** Whether the viewer knows the study's result: one that was stored after the page was opened it does not. */
function useDrawn({ servicesManager }: Host, studyUid: string | null): boolean {
  const { displaySetService } = servicesManager.services;
  const [isDrawn, setDrawn] = useState(true);

  useEffect(() => {
    const look = () =>
      setDrawn(newestResults(displaySetService.getActiveDisplaySets()).some(each => each.report.StudyInstanceUID === studyUid));
    look();
    const subscription = displaySetService.subscribe(displaySetService.EVENTS.DISPLAY_SETS_ADDED, look);
    return () => subscription.unsubscribe();
  }, [displaySetService, studyUid]);

  return isDrawn;
}

/** What is known of a study; asked again while the work on it goes on or Sightline is away. */
function useReport(studyUid: string | null): Answer | null {
  const [answer, setAnswer] = useState<Answer | null>(null);

  useEffect(() => {
    setAnswer(null);
    if (!studyUid) {
      return undefined;
    }
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async () => {
      const heard = await askForReport(studyUid, stop.signal);
      if (stop.signal.aborted) {
        return;
      }
      setAnswer(heard);
      if (heard.kind === 'away' || isPending(heard)) {
        timer = setTimeout(ask, ASK_AGAIN_MS);
      }
    };
    void ask();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [studyUid]);

  return answer;
}
