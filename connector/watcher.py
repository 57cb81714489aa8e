"""The watcher: follows what arrives in the archive, and has each complete and wanted study read, once.

One pass (:meth:`Watcher.look`) reads Orthanc's log of changes from where the last one ended, looks again at every study that
is still arriving, and sends messages again that were lost. All it must not forget is in the ledger; what it keeps itself
is when a study last grew, and after a restart a study simply has to be quiet once more.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event

import structlog

from connector.clock import Clock
from connector.completeness import Acquisition, Arrival, judge
from connector.heartbeat import Heartbeat
from connector.ledger import Ledger
from connector.orthanc import ChangeLog
from connector.pacs import Pacs
from connector.queue import Queue
from connector.retention import Retention
from connector.routing import route
from connector.rules import RulesInForce
from connector.steps import StepState
from radiology.errors import IllegalTransition, LedgerError, PacsError, PacsRefused, QueueError, StudyError
from radiology.jobs import ANSWER_QUESTION, READ_STUDY, Job, JobState
from radiology.settings import Settings
from radiology.study import digest

_CURSOR = "orthanc.cursor"
_SIGN_OF_LIFE = timedelta(seconds=5)
_RETENTION_EVERY = timedelta(hours=1)
_ARRIVING = "Instances are arriving."
_LONGEST_PAUSE_SECONDS = 30.0
_MANY = 1_000_000

_log = structlog.get_logger()


@dataclass
class _Visit:
    """A study that is arriving: its job, since when, when it last grew, and the archive's counts, before and now."""

    job: Job
    first_seen: datetime
    last_change: datetime
    counts: tuple[int, int] = (0, 0)


class Watcher:
    """The watcher of one archive."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        """Take up every study that the ledger says is arriving. Raises :class:`RulesError` where the rules cannot be used."""
        self._settings = settings
        self._ledger = ledger
        self._rules = RulesInForce(settings)
        self._queue = Queue(settings)
        self._changes = ChangeLog(settings.pacs)
        self._pacs = Pacs.connect(settings.pacs)
        started = datetime.now(UTC)
        self._visits = {job.study_uid: _Visit(job, job.created, started) for job in ledger.jobs(JobState.ARRIVING, limit=_MANY)}
        self._swept = started
        self._retention = Retention(settings, ledger)
        self._retained = started - _RETENTION_EVERY

    def look(self, now: datetime) -> None:
        """Do one pass.

        Raises:
            PacsError, LedgerError: the pass ended early; the next one goes on where it ended.
        """
        if now - self._swept >= timedelta(seconds=self._settings.queue.sweep_seconds):
            self._swept = now
            for job_id in self._ledger.sweep(now):
                _log.info("message sent again", job_id=job_id)
                self._send(job_id)
            for question_id in self._ledger.questions.sweep(now):
                _log.info("message sent again", question_id=question_id)
                self._send(question_id, ANSWER_QUESTION)
        if now - self._retained >= _RETENTION_EVERY:
            self._retained = now
            forgotten = self._retention.sweep(now)
            if any(forgotten.values()):
                _log.info("forgotten", **{kind.replace(" ", "_"): count for kind, count in forgotten.items()})
        self._read_changes(now)
        for study_uid, visit in list(self._visits.items()):
            try:
                self._visit(study_uid, visit, now)
            except PacsRefused as error:  # this study's trouble does not hold the others up; it is tried again when it was quiet
                visit.last_change = now
                self._describe(visit, visit.job.description, str(error))
            except IllegalTransition as error:  # somebody else decided on it
                _log.warning("no longer followed", study_uid=study_uid, reason=str(error))
                del self._visits[study_uid]

    def clock_set(self, step: timedelta) -> None:
        """Say that the clock was set by so much: no study was quiet for longer, or shorter, by that."""
        self._swept += step
        self._retained += step
        for visit in self._visits.values():
            visit.first_seen += step
            visit.last_change += step

    def _read_changes(self, now: datetime) -> None:
        known = self._ledger.recall(_CURSOR)
        if not known:
            known = "0" if self._settings.watcher.read_existing else str(self._changes.end())
            self._ledger.remember(_CURSOR, known)
        more = True
        while more:
            news = self._changes.since(int(known))
            for study_uid in news.study_uids:
                if study_uid in self._visits:
                    self._visits[study_uid].last_change = now
                else:
                    job = self._ledger.arriving(study_uid, "", _ARRIVING)
                    self._visits[study_uid] = _Visit(job, job.created, now)
                    _log.info("arriving", study_uid=study_uid)
            if str(news.cursor) != known:
                known = str(news.cursor)
                self._ledger.remember(_CURSOR, known)
            more = news.more

    def _visit(self, study_uid: str, visit: _Visit, now: datetime) -> None:
        """Look whether a study is complete, and decide what becomes of it."""
        count = self._pacs.count(study_uid)
        if count != visit.counts[1]:
            visit.last_change = now
        visit.counts = (visit.counts[1], count)
        senders = frozenset(self._ledger.sources.open_associations(study_uid, since=now - _SIGN_OF_LIFE))
        acquisition = self._acquisition(study_uid, count)
        arrival = Arrival(visit.first_seen, visit.last_change, senders, visit.counts, acquisition)
        answer = judge(arrival, now, self._settings.watcher)
        if not answer.complete:
            self._describe(visit, f"{count} instance{'s'[: count != 1]}", answer.reason)
            return
        self._decide(visit, answer.reason)
        del self._visits[study_uid]

    def _acquisition(self, study_uid: str, count: int) -> Acquisition:
        """What modalities say of a study of which the archive holds ``count`` instances."""
        steps = self._ledger.steps.of_study(study_uid)
        in_progress = sum(step.state is StepState.IN_PROGRESS for step in steps)
        named = frozenset[str]().union(*(step.instance_uids for step in steps))
        if in_progress or not named or count < len(named):  # the archive's list would say nothing more
            return Acquisition(in_progress, len(named), max(len(named) - count, 0))
        return Acquisition(0, len(named), len(named - self._pacs.listed(study_uid)))

    def _decide(self, visit: _Visit, complete: str) -> None:
        """Queue a complete study or refuse it; where the same images are read already, or were by the model in use, do nothing."""
        job = visit.job
        sources = self._sources(job.study_uid)
        try:
            chosen = route(self._pacs.fetch(job.study_uid), self._settings.watcher)
        except StudyError as error:
            self._refuse(job, str(error))
            return
        if chosen.study is None:
            self._refuse(job, chosen.reason)
            return
        inputs_digest = digest(uid for series in chosen.study.series for uid in series.instance_uids)
        earlier = self._ledger.read_before(job.study_uid, inputs_digest)
        if earlier is not None:
            self._ledger.withdraw(job.job_id)
            _log.info("nothing new", study_uid=job.study_uid, job_id=earlier.job_id, state=earlier.state)
            return
        self._describe(visit, chosen.description, job.reason)
        ruling = self._rules.now().judge_study(chosen.study, sources, job.created)
        if not ruling.read:
            self._refuse(job, ruling.why, inputs_digest)
            return
        reason = " ".join(filter(None, (complete, chosen.reason, ruling.why)))
        self._ledger.queue(job.job_id, inputs_digest, reason, ruling.priority)
        _log.info("queued", study_uid=job.study_uid, job_id=job.job_id, priority=str(ruling.priority), reason=reason)
        self._send(job.job_id)

    def _refuse(self, job: Job, reason: str, inputs_digest: str = "") -> None:
        self._ledger.refuse(job.job_id, reason, inputs_digest)
        _log.info("refused", study_uid=job.study_uid, job_id=job.job_id, reason=reason)

    def _sources(self, study_uid: str) -> frozenset[str]:
        """Return who sent a study, and note who sent it to Orthanc itself; what was forwarded there bears the listener's title."""
        for ae_title in self._changes.senders(study_uid) - {self._settings.listener.ae_title}:
            self._ledger.sources.sent_by(study_uid, ae_title)
        return self._ledger.sources.of_study(study_uid)

    def _send(self, number: int, message: str = READ_STUDY) -> None:
        """Send the message of a job or a question; where the queue is down, a later sweep sends it."""
        try:
            self._queue.send(number, message)
        except QueueError as error:
            _log.warning("message not sent", message=message, number=number, reason=str(error))

    def _describe(self, visit: _Visit, description: str, reason: str) -> None:
        if (description, reason) != (visit.job.description, visit.job.reason):
            visit.job = self._ledger.arriving(visit.job.study_uid, description, reason)


def run(settings: Settings) -> None:
    """Watch until SIGINT or SIGTERM; an archive or ledger that fails is tried again with a growing pause."""
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    watcher = Watcher(settings, Ledger.open(settings))
    heartbeat = Heartbeat(settings.data_folder, "watcher")
    _log.info("watching", archive=settings.pacs.orthanc_url)
    pause = settings.watcher.poll_seconds
    clock = Clock()
    while not stop.wait(pause):
        heartbeat.beat()
        if step := clock.step():
            _log.warning("clock set", seconds=round(step.total_seconds(), 1))
            watcher.clock_set(step)
        try:
            watcher.look(datetime.now(UTC))
            pause = settings.watcher.poll_seconds
        except (PacsError, LedgerError) as error:
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            _log.warning("not watching", reason=str(error), again_in_seconds=pause)
