"""The ledger: one row per job, a reason for every transition, and nothing of the patient but UIDs.

It is the only store of truth for work. The queue carries job ids and may lose them; :meth:`Ledger.sweep` finds the jobs
whose message or worker gave no sign for too long and has them sent again. The same code runs on SQLite (one machine)
and on PostgreSQL. Every change is one transaction that also checks the state it starts from, so no two workers take
one job and no job takes a step that :data:`radiology.jobs.TRANSITIONS` does not have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

import sqlalchemy as sa

from connector import tables
from connector.audit import Audit
from connector.commitments import Commitments
from connector.database import Database, add, alone, put
from connector.decisions import Decisions
from connector.questions import Questions
from connector.sources import Sources
from connector.steps import Steps
from radiology.errors import IllegalTransition, UnknownStudy
from radiology.finding import Box
from radiology.jobs import TRANSITIONS, Job, JobState, Pause, Priority, Progress
from radiology.report import Outcome as ReadingOutcome
from radiology.report import Standing
from radiology.settings import LedgerSettings, Settings
from radiology.thinking import Look

MODEL_IN_USE = "engine.weights_hash"
"""Name under which the worker remembers the weights hash of the model that it reads with."""

_NEWEST = 100
_MESSAGES_AT_ONCE = 500
_FORGOTTEN_AT_ONCE = 500
_LASTING = sa.select(tables.pauses).where(tables.pauses.c.ended.is_(None))
_LONGEST_PAUSE_SECONDS = 60.0


@dataclass(frozen=True)
class Transition:
    """One step of a job; ``source`` is None for its first."""

    source: JobState | None
    target: JobState
    reason: str
    time: datetime


@dataclass(frozen=True)
class Outcome:
    """What a worker leaves behind: the fields of :class:`radiology.jobs.Job`, and the raw text of an unreadable answer.

    ``thinking`` are the steps by which the model came to its report, ``standing`` is where the study's report stands now; None
    leaves it as it was.
    """

    weights_hash: str = ""
    result_uids: tuple[str, ...] = ()
    parts: Mapping[str, float] = field(default_factory=dict)
    raw_answer: str = ""
    thinking: tuple[Look, ...] = ()
    standing: Standing | None = None


@dataclass(frozen=True)
class StudyRecord:
    """What the ledger knows of one study: its newest job, how far that is while a worker is at it, and where its report stands."""

    job: Job | None = None
    progress: Progress | None = None
    standing: Standing | None = None


@dataclass(frozen=True)
class Load:
    """How much work there is.

    Attributes:
        jobs: number of jobs in each state.
        oldest_queued_seconds: how long the oldest queued job has waited; 0 where none is.
        repeated_attempts: of all jobs, those beyond the first.
        part_seconds: median time of each part of the newest finished jobs.
    """

    jobs: Mapping[JobState, int]
    oldest_queued_seconds: float
    repeated_attempts: int
    part_seconds: Mapping[str, float]


class Ledger:
    """The jobs of one installation. Thread-safe; each process opens its own.

    Every method raises :class:`~radiology.errors.LedgerError` where the database cannot be used.
    """

    def __init__(self, url: str, settings: LedgerSettings) -> None:
        """Open the ledger at an SQLAlchemy ``url``, and make its tables where they are missing."""
        self._settings = settings
        self._database = Database(url)
        self.questions = Questions(self._database, settings)
        self.decisions = Decisions(self._database, settings)
        self.commitments = Commitments(self._database)
        self.steps = Steps(self._database)
        self.sources = Sources(self._database)
        self.audit = Audit(self._database)

    @classmethod
    def open(cls, settings: Settings) -> Ledger:
        """Open the ledger that the settings name."""
        return cls(settings.ledger_url, settings.ledger)

    @property
    def lease_seconds(self) -> float:
        """How long a worker may be silent."""
        return self._settings.lease_seconds

    @property
    def is_limited(self) -> bool:
        """Whether only so many studies are read with one model at a time."""
        return self._settings.readings_per_model is not None

    def close(self) -> None:
        """Give the connections back."""
        self._database.close()

    def check(self) -> None:
        """Return if the ledger answers."""
        with self._database.transaction() as connection:
            connection.execute(sa.select(tables.jobs.c.job_id).limit(1))

    # What the watcher does ------------------------------------------------------------------------------------------

    def arriving(self, study_uid: str, description: str, reason: str) -> Job:
        """Return the study's ARRIVING job with ``description`` and ``reason`` brought up to date; make it where there is none.

        A new job has the next revision: 0 for the first images of a study, 1 for late images after that one was queued.
        ``description`` is made of modality, body part and counts, never of free text of the study.
        """
        now = _now()
        with self._database.transaction() as connection:
            found = connection.execute(
                sa.update(tables.jobs)
                .where(tables.jobs.c.study_uid == study_uid, tables.jobs.c.state == JobState.ARRIVING)
                .values(description=description, reason=reason, updated=now)
                .returning(tables.jobs)
            ).first()
            if found:
                return _job(found)
            revision = sa.select(sa.func.coalesce(sa.func.max(tables.jobs.c.revision) + 1, 0)).where(tables.jobs.c.study_uid == study_uid)
            row = connection.execute(
                sa.insert(tables.jobs)
                .values(
                    study_uid=study_uid,
                    revision=revision.scalar_subquery(),
                    state=JobState.ARRIVING,
                    reason=reason,
                    description=description,
                    created=now,
                    updated=now,
                )
                .returning(tables.jobs)
            ).one()
            self._note(connection, row.job_id, None, JobState.ARRIVING, reason, now)
            return _job(row)

    def queue(self, job_id: int, inputs_digest: str, reason: str, priority: Priority = Priority.ROUTINE) -> Job:
        """ARRIVING -> QUEUED. The caller then sends the message; should that fail, the sweep sends it.

        What a person said of its priority while it arrived (:meth:`prioritise`) stands before ``priority``.
        """
        said = tables.jobs.c.priority
        rank = sa.case((said == Priority.ROUTINE.rank, priority.rank), else_=said)
        values = {"inputs_digest": inputs_digest, "due": self._lease_end(), "priority": rank}
        return self._step(job_id, JobState.ARRIVING, JobState.QUEUED, reason, **values)

    def refuse(self, job_id: int, reason: str, inputs_digest: str = "") -> Job:
        """ARRIVING -> REFUSED; ``inputs_digest`` where the model could read it, so that :meth:`retry` knows its images."""
        return self._step(job_id, JobState.ARRIVING, JobState.REFUSED, reason, inputs_digest=inputs_digest)

    def withdraw(self, job_id: int) -> None:
        """Remove an ARRIVING job: its images were read before by the same model, so there is no work."""
        with self._database.transaction() as connection:
            mine = (
                sa.select(tables.jobs.c.job_id)
                .where(tables.jobs.c.job_id == job_id, tables.jobs.c.state == JobState.ARRIVING)
                .with_for_update()
            )
            if connection.execute(mine).first() is None:
                raise IllegalTransition(f"Job {job_id} is not arriving, so it cannot be withdrawn.")
            connection.execute(sa.delete(tables.transitions).where(tables.transitions.c.job_id == job_id))
            connection.execute(sa.delete(tables.jobs).where(tables.jobs.c.job_id == job_id))

    def read_before(self, study_uid: str, inputs_digest: str) -> Job | None:
        """Return the newest job that reads, or has read, exactly these images with the model in use; None where there is none."""
        model = self.recall(MODEL_IN_USE)
        same = sa.select(tables.jobs).where(
            tables.jobs.c.study_uid == study_uid,
            tables.jobs.c.inputs_digest == inputs_digest,
            sa.or_(
                tables.jobs.c.state.in_([JobState.QUEUED, JobState.RUNNING]),
                sa.and_(tables.jobs.c.state == JobState.DONE, sa.true() if not model else tables.jobs.c.weights_hash == model),
            ),
        )
        return self._first(same.order_by(tables.jobs.c.revision.desc()))

    def sweep(self, now: datetime) -> list[int]:
        """Return the jobs whose message must be sent (again): retries, lost messages, dead workers.

        A worker that did not renew its lease is taken for dead; its job is queued again, or failed after
        ``maximum_attempts``. A queued job's message is repeated at growing intervals, so that a long queue is not flooded;
        in a pause it is not, as nobody would take it. Where the clock was set back, what was to happen soon would happen
        that much later; it happens now.
        """
        self._bring_forward(now)
        paused = self.paused() is not None
        send = [] if paused else self._call_again(now)
        lease = timedelta(seconds=self._settings.lease_seconds)
        silent = sa.select(tables.jobs).where(tables.jobs.c.state == JobState.RUNNING, tables.jobs.c.due <= now)
        for row in self._database.rows(silent.order_by(tables.jobs.c.job_id)):
            with self._database.transaction() as connection:
                fresh = connection.execute(silent.where(tables.jobs.c.job_id == row.job_id).with_for_update()).first()
            if fresh is None:
                continue
            dead = f"Its worker gave no sign for {self._settings.lease_seconds:.0f} s"
            try:
                job = self._put_back(_job(fresh), fresh.worker, dead, now + lease)
            except IllegalTransition:
                continue  # it was alive, and has just finished
            if job.state is JobState.QUEUED and not paused:
                send.append(row.job_id)
        return send

    def remember(self, name: str, value: str) -> None:
        """Keep a value under a name, for example the watcher's cursor."""
        with self._database.transaction() as connection:
            put(connection, tables.memory, {"name": name}, {"value": value})

    def recall(self, name: str) -> str:
        """Return the value under a name; empty where nothing was remembered."""
        rows = self._database.rows(sa.select(tables.memory.c.value).where(tables.memory.c.name == name))
        return str(rows[0].value) if rows else ""

    def forget_steps(self, before: datetime, *, dry_run: bool) -> int:
        """Forget how jobs that were done or refused before then came there, or only count those jobs; returns how many.

        That is their transitions, the model's steps of thought and unreadable answers. The jobs and their last reason stay, so
        that nothing is read twice.
        """
        jobs, steps = tables.jobs.c, tables.transitions.c.job_id
        over = (jobs.state.in_([JobState.DONE, JobState.REFUSED]), jobs.updated < before, sa.exists().where(steps == jobs.job_id))
        if dry_run:
            return int(self._database.rows(sa.select(sa.func.count()).select_from(tables.jobs).where(*over))[0][0])
        count = 0
        while True:
            with self._database.transaction() as connection:
                ids = list(connection.scalars(sa.select(jobs.job_id).where(*over).limit(_FORGOTTEN_AT_ONCE)))
                for table in (tables.transitions, tables.thinking):
                    connection.execute(sa.delete(table).where(table.c.job_id.in_(ids)))
                connection.execute(sa.update(tables.jobs).where(jobs.job_id.in_(ids)).values(raw_answer=""))
            count += len(ids)
            if len(ids) < _FORGOTTEN_AT_ONCE:
                return count

    # What the worker does -------------------------------------------------------------------------------------------

    def next_job(self, weights_hash: str = "") -> int | None:
        """Return the job that a worker with this model is to take now: the most urgent, and of those the first that came.

        None where none waits, in a pause, and where as many are read with the model as may be at a time.
        """
        jobs = tables.jobs.c
        is_ready = sa.or_(jobs.not_before.is_(None), jobs.not_before <= _now())
        line = sa.select(jobs.job_id).where(jobs.state == JobState.QUEUED, is_ready).order_by(jobs.priority, jobs.job_id).limit(1)
        with self._database.reading() as connection:
            return None if self._is_held_up(connection, weights_hash) else connection.scalar(line)

    def take(self, job_id: int, worker: str, weights_hash: str = "") -> Job | None:
        """QUEUED -> RUNNING with a lease for ``worker`` and its model.

        None where the job is not queued (any more), as somebody else has it, in a pause, and where as many are read with the
        model as may be at a time.
        """
        with self._database.transaction() as connection:
            alone(connection)
            if self._is_held_up(connection, weights_hash):
                return None
            try:
                return self._change(
                    connection,
                    job_id,
                    JobState.QUEUED,
                    JobState.RUNNING,
                    f"Worker {worker} took it.",
                    worker=worker,
                    weights_hash=weights_hash,
                    due=self._lease_end(),
                    not_before=None,
                    attempts=tables.jobs.c.attempts + 1,
                )
            except IllegalTransition:
                return None

    def renew(self, job_id: int, worker: str) -> None:
        """Prolong the lease. Raises :class:`IllegalTransition` where the job was given to another worker."""
        with self._database.transaction() as connection:
            if connection.execute(sa.update(tables.jobs).where(*_held(job_id, worker)).values(due=self._lease_end())).rowcount == 0:
                raise IllegalTransition(f"Worker {worker} no longer holds job {job_id}.")

    def progress(self, job_id: int, worker: str, share: float, doing: str) -> None:
        """Note how far the work is: ``share`` from 0 to 1, ``doing`` for example ``Slice 3 of 8``; nothing of the patient.

        Raises :class:`IllegalTransition` where the job was given to another worker.
        """
        held = sa.select(tables.jobs.c.job_id).where(*_held(job_id, worker))
        with self._database.transaction() as connection:
            if connection.execute(held).first() is None:
                raise IllegalTransition(f"Worker {worker} no longer holds job {job_id}.")
            put(connection, tables.progress, {"job_id": job_id}, {"share": share, "doing": doing, "time": _now()})

    def requeue(self, job_id: int, worker: str, reason: str) -> Job:
        """RUNNING -> QUEUED after a pause that doubles with each attempt, or FAILED after ``maximum_attempts``."""
        job = self.job(job_id)
        if job is None:
            raise IllegalTransition(f"There is no job {job_id}.")
        pause = timedelta(seconds=self._settings.retry_seconds * 2 ** (max(job.attempts, 1) - 1))
        due = _now() + pause
        return self._put_back(job, worker, reason.rstrip("."), due, not_before=due)

    def postpone(self, job_id: int, worker: str, reason: str) -> Job:
        """RUNNING -> QUEUED because the archive is away, which says nothing of the study: the attempt does not count.

        The pause doubles each time, up to a minute, so that all is read soon after the archive is back.
        """
        before = sum((step.source, step.target) == (JobState.RUNNING, JobState.QUEUED) for step in self.history(job_id))
        pause = timedelta(seconds=min(self._settings.retry_seconds * 2 ** min(before, 16), _LONGEST_PAUSE_SECONDS))
        again = f"{reason.rstrip('.')}; it is tried again."
        uncounted = tables.jobs.c.attempts - 1
        due = _now() + pause
        values = {"due": due, "not_before": due, "worker": "", "attempts": uncounted}
        return self._step(job_id, JobState.RUNNING, JobState.QUEUED, again, held_by=worker, **values)

    def finish(self, job_id: int, worker: str, state: JobState, reason: str, outcome: Outcome) -> Job:
        """RUNNING -> DONE, FAILED or REFUSED, with what the worker leaves behind."""
        with self._database.transaction() as connection:
            job = self._change(
                connection,
                job_id,
                JobState.RUNNING,
                state,
                reason,
                held_by=worker,
                weights_hash=outcome.weights_hash,
                result_uids=list(outcome.result_uids),
                parts=dict(outcome.parts),
                raw_answer=outcome.raw_answer,
            )
            if outcome.thinking:
                put(connection, tables.thinking, {"job_id": job_id}, {"steps": [asdict(look) for look in outcome.thinking]})
            if outcome.standing:
                put(connection, tables.standings, {"study_uid": job.study_uid}, asdict(outcome.standing))
        return job

    # What people ask ------------------------------------------------------------------------------------------------

    def jobs(self, state: JobState | None = None, limit: int = 200) -> list[Job]:
        """Return jobs, newest first."""
        chosen = sa.select(tables.jobs).order_by(tables.jobs.c.job_id.desc()).limit(limit)
        return [_job(row) for row in self._database.rows(chosen.where(tables.jobs.c.state == state) if state else chosen)]

    def job(self, job_id: int) -> Job | None:
        """Return one job."""
        return self._first(sa.select(tables.jobs).where(tables.jobs.c.job_id == job_id))

    def latest(self, study_uid: str) -> Job | None:
        """Return the study's job with the highest revision."""
        return self._first(sa.select(tables.jobs).where(tables.jobs.c.study_uid == study_uid).order_by(tables.jobs.c.revision.desc()))

    def records(self, study_uids: Sequence[str]) -> dict[str, StudyRecord]:
        """Return what is known of each of these studies."""
        jobs, progress, standings = tables.jobs.c, tables.progress.c, tables.standings.c
        newest = sa.select(sa.func.max(jobs.job_id)).where(jobs.study_uid.in_(study_uids)).group_by(jobs.study_uid)
        at_work = sa.and_(progress.job_id == jobs.job_id, jobs.state == JobState.RUNNING, progress.time >= jobs.updated)
        worked = sa.select(tables.jobs, progress.share, progress.doing).outerjoin(tables.progress, at_work).where(jobs.job_id.in_(newest))
        known = {uid: StudyRecord() for uid in study_uids}
        for row in self._database.rows(worked):
            known[row.study_uid] = StudyRecord(_job(row), None if row.share is None else Progress(row.share, row.doing))
        for row in self._database.rows(sa.select(tables.standings).where(standings.study_uid.in_(study_uids))):
            known[row.study_uid] = replace(known[row.study_uid], standing=_standing(row))
        return known

    def studies(self, state: JobState | None = None, study_uid: str = "", limit: int = 200) -> list[Job]:
        """Return the newest job of each study, the newest first: those in a state, or of one study."""
        jobs, later = tables.jobs, tables.jobs.alias()
        is_newest = ~sa.exists().where(later.c.study_uid == jobs.c.study_uid, later.c.revision > jobs.c.revision)
        chosen = sa.select(jobs).where(is_newest).order_by(jobs.c.job_id.desc()).limit(limit)
        if state:
            chosen = chosen.where(jobs.c.state == state)
        if study_uid:
            chosen = chosen.where(jobs.c.study_uid == study_uid)
        return [_job(row) for row in self._database.rows(chosen)]

    def thinking(self, study_uid: str, weights_hash: str) -> tuple[Look, ...]:
        """Return the steps by which a model came to its newest report on a study; none where they are not known here."""
        jobs = tables.jobs.c
        mine = sa.select(tables.thinking.c.steps).join(tables.jobs).where(jobs.study_uid == study_uid, jobs.weights_hash == weights_hash)
        rows = self._database.rows(mine.order_by(jobs.job_id.desc()).limit(1))
        return tuple(_look(step) for row in rows for step in row.steps)

    def stand(self, study_uid: str, standing: Standing | None) -> None:
        """Note where the report of a study stands; None where it has none any more."""
        with self._database.transaction() as connection:
            if standing is None:
                connection.execute(sa.delete(tables.standings).where(tables.standings.c.study_uid == study_uid))
            else:
                put(connection, tables.standings, {"study_uid": study_uid}, asdict(standing))

    def learn(self, study_uid: str, standing: Standing) -> None:
        """Note where the report of a study stands if nothing was known of it: a report that another installation made."""
        with self._database.transaction() as connection:
            add(connection, tables.standings, {"study_uid": study_uid, **asdict(standing)})

    def history(self, job_id: int) -> list[Transition]:
        """Return every transition of a job, oldest first."""
        rows = self._database.rows(
            sa.select(tables.transitions).where(tables.transitions.c.job_id == job_id).order_by(tables.transitions.c.transition_id)
        )
        return [Transition(JobState(r.source) if r.source else None, JobState(r.target), r.reason, r.time) for r in rows]

    def load(self, now: datetime) -> Load:
        """Return how much work there is."""
        jobs = tables.jobs.c
        counting = sa.select(jobs.state, sa.func.count().label("count"), sa.func.min(jobs.updated).label("first")).group_by(jobs.state)
        counted = self._database.rows(counting)
        waiting = [row.first for row in counted if row.state == JobState.QUEUED]
        again = sa.func.coalesce(sa.func.sum(jobs.attempts - 1), 0)
        (repeated,) = self._database.rows(sa.select(again).where(jobs.attempts > 1))[0]
        times: dict[str, list[float]] = {}
        for job in self.jobs(JobState.DONE, limit=_NEWEST):
            for part, seconds in job.parts.items():
                times.setdefault(part, []).append(seconds)
        return Load(
            {JobState(row.state): row._mapping["count"] for row in counted},
            max(0.0, (now - waiting[0]).total_seconds()) if waiting else 0.0,
            int(repeated),
            {part: median(seconds) for part, seconds in times.items()},
        )

    def stuck(self, since: datetime) -> list[Job]:
        """Return each study's newest job that failed, or began before ``since`` and has not ended; the oldest first."""
        jobs = tables.jobs.c
        newest = sa.select(sa.func.max(jobs.job_id)).group_by(jobs.study_uid)
        unfinished = sa.and_(jobs.state.in_([JobState.ARRIVING, JobState.QUEUED, JobState.RUNNING]), jobs.created < since)
        chosen = sa.select(tables.jobs).where(jobs.job_id.in_(newest), sa.or_(jobs.state == JobState.FAILED, unfinished))
        return [_job(row) for row in self._database.rows(chosen.order_by(jobs.job_id))]

    def raw_answer(self, job_id: int) -> str:
        """Return the model's text that could not be read; empty where there is none."""
        rows = self._database.rows(sa.select(tables.jobs.c.raw_answer).where(tables.jobs.c.job_id == job_id))
        return str(rows[0].raw_answer) if rows else ""

    def retry(self, study_uid: str) -> Job:
        """Queue the study's latest job again, from FAILED or REFUSED; the watcher's next sweep sends the message."""
        job = self._known(study_uid)
        if job.state not in (JobState.FAILED, JobState.REFUSED):
            raise IllegalTransition(f"Study {study_uid} is {job.state}; only a failed or refused study is tried again.")
        return self._step(job.job_id, job.state, JobState.QUEUED, "Tried again on request.", attempts=0, due=_now())

    def replay(self, study_uid: str, by: str) -> Job:
        """Queue a study that was read, to be read again by the model in use: its report gets a successor that names it.

        The watcher's next sweep sends the message.

        Raises:
            UnknownStudy: it was never sent.
            IllegalTransition: it is not read yet; it was read by the model in use, so that the same would come out; or a
                radiologist has decided on its report, which stands.
        """
        with self._database.transaction() as connection:
            alone(connection)
            job = self._known(study_uid)
            if job.state is not JobState.DONE:
                raise IllegalTransition(f"Study {study_uid} is {job.state}; only a study that was read can be read again.")
            if job.weights_hash == self.recall(MODEL_IN_USE):
                raise IllegalTransition(f"Study {study_uid} was read by the model in use; the same would come out.")
            if self._is_judged(connection, study_uid):
                raise IllegalTransition(f"A radiologist has decided on the report of study {study_uid}; take it back in the viewer first.")
            now, reason = _now(), f"To be read again, says {by}."
            values = {"study_uid": study_uid, "revision": job.revision + 1, "state": JobState.QUEUED, "reason": reason}
            values |= {"description": job.description, "inputs_digest": job.inputs_digest, "priority": Priority.LOW.rank}
            row = connection.execute(
                sa.insert(tables.jobs).values(**values, created=now, updated=now, due=now).returning(tables.jobs)
            ).one()
            self._note(connection, row.job_id, None, JobState.QUEUED, reason, now)
            return _job(row)

    def retry_failed(self, limit: int) -> tuple[list[Job], int]:
        """Queue failed studies again, the oldest first; returns the jobs, ``limit`` at most, and how many failed ones are left."""
        failed = [job for job in self.stuck(_now()) if job.state is JobState.FAILED]
        again = []
        for job in failed[:limit]:
            with suppress(IllegalTransition):  # somebody else has just tried it again
                again.append(self.retry(job.study_uid))
        return again, len(failed[limit:])

    def prioritise(self, study_uid: str, priority: Priority, by: str) -> Job:
        """Give a study that waits or arrives another priority, and note who did.

        Raises:
            UnknownStudy: it was never sent.
            IllegalTransition: it does not wait (any more).
        """
        job = self._known(study_uid)
        jobs = tables.jobs.c
        waits = (jobs.job_id == job.job_id, jobs.state.in_([JobState.ARRIVING, JobState.QUEUED]))
        with self._database.transaction() as connection:
            row = connection.execute(sa.update(tables.jobs).where(*waits).values(priority=priority.rank).returning(tables.jobs)).first()
            if row is None:
                raise IllegalTransition(f"Study {study_uid} does not wait; only what arrives or is queued has a priority.")
            self._note(connection, row.job_id, JobState(row.state), JobState(row.state), f"Priority {priority}, says {by}.", _now())
            return _job(row)

    def pause(self, by: str, reason: str = "") -> Pause:
        """Have no study taken up from now on; what runs is finished, receiving goes on. One pause ends where the next begins."""
        with self._database.transaction() as connection:
            alone(connection)
            self._end_pause(connection, by)
            connection.execute(sa.insert(tables.pauses).values(since=_now(), by=by, reason=reason))
            return _pause(connection.execute(_LASTING).one())

    def resume(self, by: str) -> Pause | None:
        """End the pause, and return it; None where there was none. The watcher's next sweep has what waits taken up."""
        jobs = tables.jobs.c
        waiting = (jobs.state == JobState.QUEUED, sa.or_(jobs.not_before.is_(None), jobs.not_before <= _now()))
        with self._database.transaction() as connection:
            pause = connection.execute(_LASTING).first()
            self._end_pause(connection, by)
            connection.execute(sa.update(tables.jobs).where(*waiting).values(due=_now()))
        return _pause(pause) if pause else None

    def paused(self) -> Pause | None:
        """Return since when, by whom and why no study is taken up; None where studies are."""
        rows = self._database.rows(_LASTING)
        return _pause(rows[0]) if rows else None

    # How it is done -------------------------------------------------------------------------------------------------

    def _bring_forward(self, now: datetime) -> None:
        """Correct moments that no clock which was never set back can have written, allowing for clocks that are a lease apart."""
        jobs, lease = tables.jobs.c, timedelta(seconds=self._settings.lease_seconds)
        waits_too_long = (jobs.state == JobState.QUEUED, jobs.updated > now + lease)
        held_too_long = (jobs.state == JobState.RUNNING, jobs.due > now + 2 * lease)
        with self._database.transaction() as connection:
            connection.execute(sa.update(tables.jobs).where(*waits_too_long).values(updated=now, due=now, not_before=None))
            connection.execute(sa.update(tables.jobs).where(*held_too_long).values(due=now + lease))

    def _call_again(self, now: datetime) -> list[int]:
        """Return the queued jobs whose message is overdue, the most urgent first, and say when it is overdue again."""
        jobs, lease = tables.jobs.c, timedelta(seconds=self._settings.lease_seconds)
        overdue = sa.select(jobs.job_id, jobs.updated).where(jobs.state == JobState.QUEUED, jobs.due <= now)
        with self._database.transaction() as connection:
            chosen = overdue.order_by(jobs.priority, jobs.job_id).limit(_MESSAGES_AT_ONCE).with_for_update()
            rows = connection.execute(chosen).all()
            for row in rows:
                due = now + max(lease, now - row.updated)
                connection.execute(sa.update(tables.jobs).where(jobs.job_id == row.job_id).values(due=due))
        return [row.job_id for row in rows]

    def _is_held_up(self, connection: sa.Connection, weights_hash: str) -> bool:
        """Return whether nobody takes a job now, or nobody with this model."""
        if connection.execute(_LASTING).first():
            return True
        limit = self._settings.readings_per_model
        if limit is None:
            return False
        jobs = tables.jobs.c
        alive = (jobs.state == JobState.RUNNING, jobs.weights_hash == weights_hash, jobs.due > _now())
        return int(connection.scalar(sa.select(sa.func.count()).where(*alive)) or 0) >= limit

    def _is_judged(self, connection: sa.Connection, study_uid: str) -> bool:
        """Return whether the report in force is not the model's alone; one that was taken back is in force no more."""
        standing = connection.execute(sa.select(tables.standings).where(tables.standings.c.study_uid == study_uid)).first()
        decided = sa.select(tables.decisions.c.document_uid).where(tables.decisions.c.study_uid == study_uid)
        return standing is not None and (standing.is_signed or connection.execute(decided).first() is not None)

    def _end_pause(self, connection: sa.Connection, by: str) -> None:
        connection.execute(sa.update(tables.pauses).where(tables.pauses.c.ended.is_(None)).values(ended=_now(), ended_by=by))

    def _put_back(self, job: Job, worker: str, why: str, due: datetime, not_before: datetime | None = None) -> Job:
        if job.attempts >= self._settings.maximum_attempts:
            given_up = f"{why}; given up after {job.attempts} attempts."
            return self._step(job.job_id, JobState.RUNNING, JobState.FAILED, given_up, held_by=worker)
        again = f"{why}; it is tried again."
        values = {"due": due, "not_before": not_before, "worker": ""}
        return self._step(job.job_id, JobState.RUNNING, JobState.QUEUED, again, held_by=worker, **values)

    def _step(self, job_id: int, source: JobState, target: JobState, reason: str, **values: Any) -> Job:
        """Take one step by itself."""
        with self._database.transaction() as connection:
            return self._change(connection, job_id, source, target, reason, **values)

    def _change(
        self,
        connection: sa.Connection,
        job_id: int,
        source: JobState,
        target: JobState,
        reason: str,
        *,
        held_by: str | None = None,
        **values: Any,
    ) -> Job:
        """Take one step, and note it; the row changes only if it still is in ``source`` (and held by ``held_by``)."""
        if target not in TRANSITIONS[source]:
            raise IllegalTransition(f"A job cannot go from {source} to {target}.")
        now = _now()
        where = [tables.jobs.c.job_id == job_id, tables.jobs.c.state == source]
        if held_by is not None:
            where.append(tables.jobs.c.worker == held_by)
        changed = sa.update(tables.jobs).where(*where).values(state=target, reason=reason, updated=now, **values).returning(tables.jobs)
        row = connection.execute(changed).first()
        if row is None:
            holder = f" held by {held_by}" if held_by is not None else ""
            raise IllegalTransition(f"Job {job_id} is not {source}{holder}, so it cannot become {target}.")
        self._note(connection, job_id, source, target, reason, now)
        return _job(row)

    def _note(self, connection: sa.Connection, job_id: int, source: JobState | None, target: JobState, reason: str, time: datetime) -> None:
        connection.execute(sa.insert(tables.transitions).values(job_id=job_id, source=source, target=target, reason=reason, time=time))

    def _lease_end(self) -> datetime:
        return _now() + timedelta(seconds=self._settings.lease_seconds)

    def _known(self, study_uid: str) -> Job:
        job = self.latest(study_uid)
        if job is None:
            raise UnknownStudy(f"No job for study {study_uid}; send the study first.")
        return job

    def _first(self, query: sa.Select[Any]) -> Job | None:
        rows = self._database.rows(query.limit(1))
        return _job(rows[0]) if rows else None


def _job(row: sa.Row[Any]) -> Job:
    values = row._mapping
    return Job(
        job_id=values["job_id"],
        study_uid=values["study_uid"],
        state=JobState(values["state"]),
        reason=values["reason"],
        attempts=values["attempts"],
        revision=values["revision"],
        inputs_digest=values["inputs_digest"],
        created=values["created"],
        updated=values["updated"],
        description=values["description"],
        weights_hash=values["weights_hash"],
        result_uids=tuple(values["result_uids"]),
        parts=values["parts"],
        priority=list(Priority)[values["priority"]],
    )


def _held(job_id: int, worker: str) -> tuple[sa.ColumnElement[bool], ...]:
    return tables.jobs.c.job_id == job_id, tables.jobs.c.state == JobState.RUNNING, tables.jobs.c.worker == worker


def _pause(row: sa.Row[Any]) -> Pause:
    return Pause(row.since, row.by, row.reason)


def _standing(row: sa.Row[Any]) -> Standing:
    return Standing(ReadingOutcome(row.outcome), row.findings, row.is_signed, row.document_uid, row.version)


def _look(step: dict[str, Any]) -> Look:
    box = step["box"]
    return Look(step["words"], step["series_uid"], Box(tuple(box["start"]), tuple(box["stop"])) if box else None)


def _now() -> datetime:
    return datetime.now(UTC)
