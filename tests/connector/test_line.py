"""Which job is next: the most urgent, the oldest of those; none in a pause or where enough are read. On SQLite and on PostgreSQL."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connector.ledger import MODEL_IN_USE, Ledger, Outcome
from radiology.errors import IllegalTransition, UnknownStudy
from radiology.jobs import Job, JobState, Priority
from radiology.report import Outcome as Reading
from radiology.report import Standing
from tests.connector.conftest import LIMITS

STANDING = Standing(Reading.FOUND, 1, False, "1.2.840.1", 1)


@pytest.fixture
def ledger(own_url: str) -> Iterator[Ledger]:
    ledger = Ledger(own_url, LIMITS)
    yield ledger
    ledger.close()


@pytest.fixture
def limited(own_url: str) -> Iterator[Ledger]:
    """A ledger that lets one model read two studies at a time."""
    ledger = Ledger(own_url, LIMITS.model_copy(update={"readings_per_model": 2}))
    yield ledger
    ledger.close()


def queued(ledger: Ledger, study: str, priority: Priority = Priority.ROUTINE) -> int:
    return ledger.queue(ledger.arriving(study, "CT CHEST, 3 images", "Coming.").job_id, "d1", "Quiet.", priority).job_id


def taken(ledger: Ledger, worker: str = "worker-1", model: str = "") -> Job | None:
    job_id = ledger.next_job(model)
    return ledger.take(job_id, worker, model) if job_id is not None else None


def test_the_most_urgent_is_next_and_of_those_the_oldest(ledger: Ledger) -> None:
    low, first, urgent, second = (
        queued(ledger, f"1.2.{number}", priority)
        for number, priority in enumerate([Priority.LOW, Priority.ROUTINE, Priority.URGENT, Priority.ROUTINE])
    )
    order = []
    while (job := taken(ledger)) is not None:
        order.append((job.job_id, job.priority))
    assert [job_id for job_id, _ in order] == [urgent, first, second, low]
    assert order[0][1] is Priority.URGENT


def test_a_person_can_change_the_priority_of_what_waits_and_it_is_noted_who_did(ledger: Ledger) -> None:
    first, second = queued(ledger, "1.2.1"), queued(ledger, "1.2.2")
    ledger.prioritise("1.2.2", Priority.URGENT, "admin")
    assert ledger.next_job() == second
    assert ledger.history(second)[-1].reason == "Priority urgent, says admin."
    assert ledger.job(second).reason == "Quiet."  # type: ignore[union-attr]
    ledger.prioritise("1.2.2", Priority.LOW, "admin")
    assert ledger.next_job() == first


def test_what_a_person_says_of_a_study_that_arrives_stands_before_the_rules(ledger: Ledger) -> None:
    job = ledger.arriving("1.2.1", "CT", "Coming.")
    ledger.prioritise("1.2.1", Priority.URGENT, "admin")
    assert ledger.queue(job.job_id, "d1", "Quiet.", Priority.LOW).priority is Priority.URGENT
    taken(ledger)
    with pytest.raises(IllegalTransition, match="does not wait"):
        ledger.prioritise("1.2.1", Priority.LOW, "admin")
    with pytest.raises(UnknownStudy):
        ledger.prioritise("1.2.9", Priority.LOW, "admin")


def test_what_is_put_off_is_not_taken_before_its_time(ledger: Ledger) -> None:
    urgent, routine = queued(ledger, "1.2.1", Priority.URGENT), queued(ledger, "1.2.2")
    assert taken(ledger) is not None
    ledger.postpone(urgent, "worker-1", "The archive does not answer.")
    assert ledger.next_job() == routine


def test_in_a_pause_nothing_is_taken_and_what_runs_is_finished(ledger: Ledger, own_url: str) -> None:
    running, waiting = queued(ledger, "1.2.1"), queued(ledger, "1.2.2")
    taken(ledger)
    pause = ledger.pause("admin", "The model is exchanged")
    later = datetime.now(UTC) + timedelta(days=1)
    restarted = Ledger(own_url, LIMITS)
    assert restarted.paused() == pause
    assert (pause.by, str(pause).endswith("by admin: The model is exchanged.")) == ("admin", True)
    assert restarted.next_job() is None
    assert restarted.take(waiting, "worker-2") is None
    restarted.close()
    ledger.finish(running, "worker-1", JobState.DONE, "Read.", Outcome())
    assert ledger.sweep(later) == []
    assert ledger.resume("somebody") == pause
    assert ledger.paused() is None
    assert ledger.sweep(datetime.now(UTC)) == [waiting]  # its message may have come to nobody
    assert ledger.next_job() == waiting
    assert ledger.resume("somebody") is None


def test_of_one_model_only_so_many_readings_go_on(limited: Ledger) -> None:
    studies = [queued(limited, f"1.2.{number}") for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda number: limited.take(studies[number], f"worker-{number}", "model-a"), range(6)))
    mine = [job.job_id for job in made if job]
    assert len(mine) == 2
    assert limited.next_job("model-a") is None
    other = limited.next_job("model-b")
    assert other is not None
    assert limited.take(other, "worker-7", "model-b") is not None
    limited.finish(mine[0], f"worker-{studies.index(mine[0])}", JobState.DONE, "Read.", Outcome("model-a"))
    assert limited.next_job("model-a") is not None


def test_a_worker_that_died_does_not_count(own_url: str) -> None:
    ledger = Ledger(own_url, LIMITS.model_copy(update={"readings_per_model": 1, "lease_seconds": 0.0}))
    dead, waiting = queued(ledger, "1.2.1"), queued(ledger, "1.2.2")
    assert ledger.take(dead, "worker-1", "model-a") is not None
    assert ledger.next_job("model-a") == waiting
    ledger.close()


def done(ledger: Ledger, study: str, model: str) -> Job:
    job_id = queued(ledger, study)
    ledger.take(job_id, "worker-1", model)
    return ledger.finish(job_id, "worker-1", JobState.DONE, "Read.", Outcome(model, standing=STANDING))


def test_a_study_is_read_again_by_another_model_after_what_is_new(ledger: Ledger) -> None:
    ledger.remember(MODEL_IN_USE, "model-b")
    read = done(ledger, "1.2.1", "model-a")
    again = ledger.replay("1.2.1", "admin")
    new = queued(ledger, "1.2.2")
    assert (again.revision, again.inputs_digest, again.state) == (1, read.inputs_digest, JobState.QUEUED)
    assert again.job_id in ledger.sweep(datetime.now(UTC))
    assert [job.job_id for _ in range(2) if (job := taken(ledger, model="model-b"))] == [new, again.job_id]
    with pytest.raises(IllegalTransition, match="is running"):
        ledger.replay("1.2.1", "admin")


def test_what_would_come_out_the_same_or_was_decided_is_not_read_again(ledger: Ledger) -> None:
    ledger.remember(MODEL_IN_USE, "model-b")
    done(ledger, "1.2.1", "model-b")
    with pytest.raises(IllegalTransition, match="by the model in use"):
        ledger.replay("1.2.1", "admin")
    done(ledger, "1.2.2", "model-a")
    ledger.stand("1.2.2", replace(STANDING, is_signed=True))
    with pytest.raises(IllegalTransition, match="has decided"):
        ledger.replay("1.2.2", "admin")
    ledger.stand("1.2.2", None)
    assert ledger.replay("1.2.2", "admin").revision == 1
