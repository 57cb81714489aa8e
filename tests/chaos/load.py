"""Studies on their way: each is sent, and once more or with an image that comes late, and is followed until it is read."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset

from connector.ledger import Ledger
from radiology.errors import LedgerError
from radiology.jobs import JobState
from tests.ai_engine.chest_studies import ct, radiographs
from tests.chaos.judgement import is_read, judge
from tests.chaos.modality import Modalities
from tests.chaos.record import Record
from tests.chaos.stack import Stack

UNFINISHED = (JobState.ARRIVING, JobState.QUEUED, JobState.RUNNING)
_PATIENCE_SECONDS = 300.0
"""So long without any progress, on however busy a machine, is a study that is stuck."""
_MANY = 100_000


@dataclass
class Sent:
    """A study: what is sent first, and what follows: late images once that was read, or the same images once they were acknowledged."""

    images: Sequence[Dataset]
    first: Sequence[Dataset]
    followed: bool = False

    @property
    def is_late(self) -> bool:
        """Whether some of its images come late."""
        return len(self.first) < len(self.images)

    @property
    def so_far(self) -> Sequence[Dataset]:
        """The images that were sent, or are being sent."""
        return self.images if self.followed else self.first


class Load:
    """What modalities send to one installation."""

    def __init__(self, stack: Stack, modalities: Modalities, record: Record) -> None:
        self._stack, self._modalities, self._record = stack, modalities, record
        self.studies: list[Sent] = []

    @property
    def acknowledged(self) -> list[Sent]:
        """The studies whose every instance was answered with success."""
        return [study for study in self.studies if _uids(study.images) <= self._modalities.acknowledged]

    @property
    def answers(self) -> dict[str, int]:
        """How often each status was given to senders so far."""
        return {f"0x{status:04X}": count for status, count in sorted(self._modalities.answers.items())}

    def send(self) -> Sent:
        """Begin to send one more study: a CT or two radiographs in turn, of two of each one with a late image."""
        number = len(self.studies)
        images = radiographs("PA", "AP") if number % 2 else ct(3)
        study = Sent(images, images[:-1] if number % 4 in (1, 2) else images)
        self.studies.append(study)
        self._modalities.send(study.first)
        return study

    def go_on(self) -> int:
        """Send what follows where it is time to; return how many studies are read as far as they were sent."""
        try:
            ledger = self._stack.ledger
            read = [study for study in self.studies if is_read(study.so_far, ledger)]
        except LedgerError:  # it is coming up
            return 0
        for study in self.studies:
            is_time = study in read if study.is_late else _uids(study.first) <= self._modalities.acknowledged
            if is_time and not study.followed:
                study.followed = True
                self._modalities.send(study.images[len(study.first) :] or study.images)
                if study.is_late:
                    read.remove(study)
        self._record.note(studies=len(self.studies), acknowledged=len(self.acknowledged), read=len(read))
        return len(read)

    def settle(self) -> None:
        """Return when all was sent and read and nothing is left to do, or nothing has changed for a long time."""
        seen, changed = (-1, 0), time.monotonic()
        while time.monotonic() - changed < _PATIENCE_SECONDS:
            self._stack.keep(1)
            now = (self.go_on(), sum(study.followed for study in self.studies))
            if now == (len(self.studies),) * 2 and self._modalities.done and self._is_quiet():
                return
            if now != seen:
                seen, changed = now, time.monotonic()
                self._record.say(f"{now[0]} of {len(self.studies)} are read")
        self._record.say("nothing moves any more")

    def judge(self) -> dict[str, Any]:
        """Return what became of the studies.

        ``acknowledged`` is the number of studies whose every instance was acknowledged, ``lost`` and ``duplicates`` how many of them have
        not all their images and one result set in force, or more than that; ``stuck`` the jobs that never ended, ``late`` the studies
        of which an image came after they were read, ``revised`` those of them that have a job for the first images and one for all;
        ``begun_again`` how often a reading was broken off and begun anew; ``faults`` says what is wrong.
        """
        ledger, archive = self._stack.ledger, self._stack.settings.pacs
        verdicts = {_study_uid(study): judge(study.images, ledger, archive) for study in self.acknowledged}
        jobs = ledger.jobs(limit=_MANY)
        steps = [step for job in jobs for step in ledger.history(job.job_id)]
        late = [study for study in self.studies if study.is_late]
        return {
            "studies": len(self.studies),
            "acknowledged": len(verdicts),
            "lost": sum(bool(verdict.lost) for verdict in verdicts.values()),
            "duplicates": sum(bool(verdict.twice) for verdict in verdicts.values()),
            "stuck": sum(job.state in UNFINISHED for job in jobs),
            "late": len(late),
            "revised": sum(len(_done(study, ledger)) == 2 for study in late),
            "resent": sum(study.followed and not study.is_late for study in self.studies),
            "begun_again": sum((step.source, step.target) == (JobState.RUNNING, JobState.QUEUED) for step in steps),
            "faults": [f"{uid}: {fault}" for uid, verdict in verdicts.items() for fault in (*verdict.lost, *verdict.twice)],
        }

    def _is_quiet(self) -> bool:
        waiting = self._stack.settings.data_folder / "spool" / "waiting"
        try:
            return not any(waiting.glob("*/*")) and not any(self._stack.ledger.jobs(state) for state in UNFINISHED)
        except LedgerError:
            return False


def _done(study: Sent, ledger: Ledger) -> list[int]:
    return [job.job_id for job in ledger.jobs(JobState.DONE, limit=_MANY) if job.study_uid == _study_uid(study)]


def _study_uid(study: Sent) -> str:
    return str(study.images[0].StudyInstanceUID)


def _uids(images: Sequence[Dataset]) -> set[str]:
    return {str(each.SOPInstanceUID) for each in images}
