"""The ledger on SQLite and on PostgreSQL: one taker a job, no illegal step, a reason for each, nothing lost."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector.ledger import MODEL_IN_USE, Ledger, Outcome, StudyRecord
from radiology.errors import IllegalTransition, LedgerError
from radiology.finding import Box
from radiology.jobs import JobState, Progress
from radiology.report import Outcome as Finished
from radiology.report import Standing
from radiology.settings import Settings
from radiology.thinking import Look
from tests.connector.conftest import LIMITS

LONG_AFTER = datetime.now(UTC) + timedelta(days=365)


def queued(ledger: Ledger, study: str, inputs: str = "d1") -> int:
    job = ledger.arriving(study, "CT CHEST, 3 images", "3 images so far.")
    return ledger.queue(job.job_id, inputs, "Quiet for 5 s, 3 images.").job_id


def test_a_study_goes_from_arriving_to_done_with_a_reason_at_each_step(ledger: Ledger, study: str) -> None:
    job_id = queued(ledger, study)
    job = ledger.take(job_id, "worker-1")
    assert job is not None
    assert (job.state, job.attempts, job.revision, job.inputs_digest) == (JobState.RUNNING, 1, 0, "d1")
    outcome = Outcome("abc", ("1.2.3", "1.2.4"), {"fetch": 0.5})
    done = ledger.finish(job_id, "worker-1", JobState.DONE, "Stored 2 results.", outcome)
    assert ledger.latest(study) == ledger.job(job_id) == done
    assert (done.weights_hash, done.result_uids, done.parts) == ("abc", ("1.2.3", "1.2.4"), {"fetch": 0.5})
    history = ledger.history(job_id)
    assert [(step.source, step.target) for step in history] == [
        (None, JobState.ARRIVING),
        (JobState.ARRIVING, JobState.QUEUED),
        (JobState.QUEUED, JobState.RUNNING),
        (JobState.RUNNING, JobState.DONE),
    ]
    assert all(step.reason for step in history)
    assert [step.time for step in history] == sorted(step.time for step in history)
    assert done.updated == history[-1].time
    assert done.updated.tzinfo is not None


def test_arriving_again_updates_the_same_job(ledger: Ledger, study: str) -> None:
    first = ledger.arriving(study, "CT, 1 image", "1 image so far.")
    second = ledger.arriving(study, "CT, 2 images", "2 images so far.")
    assert second.job_id == first.job_id
    assert (second.description, second.reason) == ("CT, 2 images", "2 images so far.")


def test_late_images_make_a_new_job_with_the_next_revision(ledger: Ledger, study: str) -> None:
    first = queued(ledger, study)
    late = ledger.arriving(study, "CT, 4 images", "1 late image.")
    assert (late.revision, late.state) == (1, JobState.ARRIVING)
    assert late.job_id != first
    assert ledger.latest(study) == late


def test_only_one_of_many_workers_takes_a_job(ledger: Ledger, study: str) -> None:
    job_id = queued(ledger, study)
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda number: ledger.take(job_id, f"worker-{number}"), range(8)))
    assert sum(job is not None for job in taken) == 1
    assert ledger.job(job_id).attempts == 1


def test_illegal_steps_are_refused_and_change_nothing(ledger: Ledger, study: str) -> None:
    job = ledger.arriving(study, "CT", "Coming.")
    with pytest.raises(IllegalTransition):
        ledger.finish(job.job_id, "", JobState.DONE, "Never ran.", Outcome())
    assert ledger.take(job.job_id, "worker-1") is None
    ledger.refuse(job.job_id, "Modality US is not read.")
    with pytest.raises(IllegalTransition):
        ledger.queue(job.job_id, "d1", "Wanted after all.")
    with pytest.raises(IllegalTransition, match="cannot go from running to arriving"):
        ledger.finish(job.job_id, "", JobState.ARRIVING, "Backwards.", Outcome())
    assert ledger.job(job.job_id).state is JobState.REFUSED
    assert len(ledger.history(job.job_id)) == 2


def test_a_worker_that_lost_its_lease_can_neither_renew_nor_finish(ledger: Ledger, study: str) -> None:
    job_id = queued(ledger, study)
    ledger.take(job_id, "worker-1")
    assert job_id in ledger.sweep(LONG_AFTER)
    with pytest.raises(IllegalTransition):
        ledger.renew(job_id, "worker-1")
    assert ledger.take(job_id, "worker-2") is not None
    with pytest.raises(IllegalTransition, match="worker-1"):
        ledger.finish(job_id, "worker-1", JobState.DONE, "Too late.", Outcome())
    ledger.finish(job_id, "worker-2", JobState.DONE, "Stored 2 results.", Outcome())


def test_a_job_whose_workers_always_die_is_failed_after_the_last_attempt(ledger: Ledger, study: str) -> None:
    job_id = queued(ledger, study)
    ledger.take(job_id, "worker-1")
    assert job_id in ledger.sweep(LONG_AFTER)
    ledger.take(job_id, "worker-2")
    assert job_id not in ledger.sweep(LONG_AFTER)
    job = ledger.job(job_id)
    assert job is not None
    assert (job.state, job.reason) == (JobState.FAILED, "Its worker gave no sign for 60 s; given up after 2 attempts.")


def test_a_renewed_lease_is_not_swept(ledger: Ledger, study: str) -> None:
    job_id = queued(ledger, study)
    ledger.take(job_id, "worker-1")
    ledger.renew(job_id, "worker-1")
    assert job_id not in ledger.sweep(datetime.now(UTC) + timedelta(seconds=50))
    assert ledger.job(job_id).state is JobState.RUNNING


def test_a_lost_message_is_sent_again_and_ever_more_rarely(ledger: Ledger, study: str) -> None:
    job_id = queued(ledger, study)
    start = datetime.now(UTC)

    def sent_after(seconds: float) -> bool:
        return job_id in ledger.sweep(start + timedelta(seconds=seconds))

    assert not sent_after(50)
    assert [sent_after(seconds) for seconds in (61, 70, 123, 200, 247)] == [True, False, True, False, True]


def test_a_study_that_the_archive_refuses_is_tried_again_after_growing_pauses_and_then_given_up(ledger: Ledger, study: str) -> None:
    job_id = queued(ledger, study)
    ledger.take(job_id, "worker-1")
    start = datetime.now(UTC)
    job = ledger.requeue(job_id, "worker-1", "The archive has no room.")
    assert (job.state, job.reason) == (JobState.QUEUED, "The archive has no room; it is tried again.")
    assert job_id not in ledger.sweep(start + timedelta(seconds=9))
    assert job_id in ledger.sweep(start + timedelta(seconds=15))
    ledger.take(job_id, "worker-1")
    job = ledger.requeue(job_id, "worker-1", "The archive has no room.")
    assert (job.state, job.reason) == (JobState.FAILED, "The archive has no room; given up after 2 attempts.")


def test_a_study_waits_for_an_archive_that_is_away_as_long_as_it_takes(ledger: Ledger, study: str) -> None:
    job_id = queued(ledger, study)
    for pause in (10, 20, 40, 60, 60, 60):
        taken = ledger.take(job_id, "worker-1")
        assert taken is not None
        assert taken.attempts == 1
        start = datetime.now(UTC)
        job = ledger.postpone(job_id, "worker-1", "The archive does not answer.")
        assert (job.state, job.reason) == (JobState.QUEUED, "The archive does not answer; it is tried again.")
        assert job_id not in ledger.sweep(start + timedelta(seconds=pause - 1))
        assert job_id in ledger.sweep(datetime.now(UTC) + timedelta(seconds=pause))


def test_a_clock_that_is_set_back_holds_up_neither_messages_nor_retries_nor_what_a_dead_worker_held(ledger: Ledger, study: str) -> None:
    lost, postponed, held = (queued(ledger, f"{study}.{number}") for number in range(3))
    for job_id in (postponed, held):
        ledger.take(job_id, "worker-1")
    ledger.postpone(postponed, "worker-1", "The archive does not answer.")
    now = datetime.now(UTC) - timedelta(hours=1)
    sent = ledger.sweep(now)
    assert {lost, postponed} <= set(sent)
    assert held not in sent
    assert not {lost, postponed} & set(ledger.sweep(now + timedelta(seconds=50)))
    assert held in ledger.sweep(now + timedelta(seconds=61))
    assert ledger.next_job() is not None


def test_a_job_is_done_together_with_what_the_worker_leaves_behind_or_not_at_all(ledger: Ledger, study: str) -> None:
    job_id = queued(ledger, study)
    ledger.take(job_id, "worker-1")
    unwritable = Look(b"bytes are no words", "1.2.3")  # type: ignore[arg-type]
    with pytest.raises((LedgerError, TypeError)):
        ledger.finish(job_id, "worker-1", JobState.DONE, "Stored.", Outcome(thinking=(unwritable,)))
    job = ledger.job(job_id)
    assert job is not None
    assert job.state is JobState.RUNNING


def test_retry_queues_a_failed_study_again_with_fresh_attempts(ledger: Ledger, study: str) -> None:
    job_id = queued(ledger, study)
    with pytest.raises(IllegalTransition, match="queued; only a failed or refused study"):
        ledger.retry(study)
    ledger.take(job_id, "worker-1")
    ledger.finish(job_id, "worker-1", JobState.FAILED, "The answer is unreadable.", Outcome(raw_answer="<think> lungs"))
    assert ledger.raw_answer(job_id) == "<think> lungs"
    assert ledger.retry(study).attempts == 0
    assert job_id in ledger.sweep(datetime.now(UTC))
    with pytest.raises(LedgerError, match="send the study first"):
        ledger.retry("1.2.3.404")


def test_what_failed_or_waits_for_too_long_is_found_until_it_is_read(ledger: Ledger, study: str) -> None:
    def stuck(since: datetime) -> list[str]:
        return [job.study_uid for job in ledger.stuck(since) if job.study_uid.startswith(f"{study}.")]

    before = datetime.now(UTC)
    ledger.arriving(f"{study}.1", "CT, 1 image", "Coming.")
    failed = queued(ledger, f"{study}.2")
    ledger.take(failed, "worker-1")
    ledger.finish(failed, "worker-1", JobState.FAILED, "The answer is unreadable.", Outcome())
    assert stuck(before) == [f"{study}.2"]
    assert stuck(datetime.now(UTC)) == [f"{study}.1", f"{study}.2"]
    late = queued(ledger, f"{study}.2", "d2")
    ledger.take(late, "worker-1")
    ledger.finish(late, "worker-1", JobState.DONE, "Stored.", Outcome())
    assert stuck(datetime.now(UTC)) == [f"{study}.1"]


def test_images_that_the_model_in_use_has_read_are_known(ledger: Ledger, study: str) -> None:
    assert ledger.read_before(study, "d1") is None
    job_id = queued(ledger, study)
    assert ledger.read_before(study, "d1") == ledger.job(job_id)
    ledger.take(job_id, "worker-1")
    ledger.finish(job_id, "worker-1", JobState.DONE, "Stored.", Outcome(weights_hash="first model"))
    ledger.remember(MODEL_IN_USE, "first model")
    assert ledger.read_before(study, "d1") == ledger.job(job_id)
    assert ledger.read_before(study, "d2") is None
    ledger.remember(MODEL_IN_USE, "second model")
    assert ledger.read_before(study, "d1") is None


def test_a_resend_leaves_no_job_behind(ledger: Ledger, study: str) -> None:
    job_id = queued(ledger, study)
    resend = ledger.arriving(study, "CT, 3 images", "Coming.")
    ledger.withdraw(resend.job_id)
    assert ledger.latest(study) == ledger.job(job_id)
    assert ledger.history(resend.job_id) == []
    with pytest.raises(IllegalTransition):
        ledger.withdraw(job_id)


def test_jobs_are_listed_newest_first_and_by_state(ledger: Ledger, study: str) -> None:
    older, newer = queued(ledger, f"{study}.1"), queued(ledger, f"{study}.2")
    assert [job.job_id for job in ledger.jobs(limit=2)] == [newer, older]
    ledger.take(newer, "worker-1")
    assert newer in [job.job_id for job in ledger.jobs(JobState.RUNNING)]
    assert older not in [job.job_id for job in ledger.jobs(JobState.RUNNING)]


def test_how_far_the_work_is_is_known_until_it_ends_or_begins_again(ledger: Ledger, study: str) -> None:
    job_id = queued(ledger, study)
    with pytest.raises(IllegalTransition):
        ledger.progress(job_id, "worker-1", 0.1, "Fetching")
    ledger.take(job_id, "worker-1")
    assert ledger.records([study])[study].progress is None
    ledger.progress(job_id, "worker-1", 0.1, "Fetching")
    ledger.progress(job_id, "worker-1", 0.5, "Slice 3 of 6")
    assert ledger.records([study])[study].progress == Progress(0.5, "Slice 3 of 6")
    ledger.requeue(job_id, "worker-1", "The archive does not answer.")
    ledger.take(job_id, "worker-2")
    assert ledger.records([study])[study].progress is None
    ledger.progress(job_id, "worker-2", 0.9, "Storing")
    ledger.finish(job_id, "worker-2", JobState.DONE, "Stored.", Outcome())
    assert ledger.records([study])[study].progress is None


def test_how_the_model_came_to_a_report_stays_with_the_job(ledger: Ledger, study: str) -> None:
    steps = (Look("The right lung.", "1.2.1", Box((1, 2, 3), (4, 5, 6))), Look("All of it.", "1.2.1"))
    job_id = queued(ledger, study)
    ledger.take(job_id, "worker-1")
    ledger.finish(job_id, "worker-1", JobState.DONE, "Stored.", Outcome("ab", thinking=steps))
    assert ledger.thinking(study, "ab") == steps
    assert ledger.thinking(study, "another model") == ledger.thinking("1.2.3.404", "ab") == ()


def test_a_list_of_studies_knows_where_each_report_stands(ledger: Ledger, study: str) -> None:
    first = Standing(Finished.FOUND, 2, False, "2.25.1", 1)
    job_id = queued(ledger, study)
    ledger.take(job_id, "worker-1")
    done = ledger.finish(job_id, "worker-1", JobState.DONE, "Stored.", Outcome(standing=first))
    other = f"{study}.1"
    assert ledger.records([study, other]) == {study: StudyRecord(done, None, first), other: StudyRecord()}
    signed = replace(first, is_signed=True, document_uid="2.25.2", version=2)
    ledger.stand(study, signed)
    ledger.learn(study, first)
    assert ledger.records([study])[study].standing == signed, "what was learned late does not undo what was decided"
    ledger.stand(study, None)
    assert ledger.records([study])[study].standing is None
    late = ledger.arriving(study, "CT, 4 images", "1 late image.")
    assert ledger.records([study])[study].job == late


def test_values_and_jobs_survive_a_restart(url: str, study: str) -> None:
    first = Ledger(url, LIMITS)
    assert first.recall("nothing so far") == ""
    first.remember("orthanc.cursor", "41")
    first.remember("orthanc.cursor", "42")
    job_id = queued(first, study)
    first.close()
    second = Ledger(url, LIMITS)
    assert second.recall("orthanc.cursor") == "42"
    assert second.job(job_id) is not None
    second.check()
    second.close()


def test_processes_that_start_together_share_one_ledger(url: str) -> None:
    program = (
        f"from connector.ledger import Ledger; from radiology.settings import LedgerSettings; Ledger({url!r}, LedgerSettings()).check()"
    )
    starting = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(3)]
    assert [process.wait(60) for process in starting] == [0, 0, 0]


def test_a_ledger_that_cannot_be_used_says_so_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="look at its disk and its database server") as raised:
        Ledger(f"postgresql+psycopg://sightline:top-secret@/postgres?host={tmp_path}", LIMITS)
    assert "top-secret" not in str(raised.value)
    with pytest.raises(LedgerError, match="SIGHTLINE_LEDGER__URL"):
        Ledger("no url", LIMITS)


def test_a_full_disk_is_a_ledger_error_and_loses_no_earlier_job(tmp_path: Path) -> None:
    settings = Settings(data_folder=tmp_path)
    ledger = Ledger.open(settings)
    job_id = queued(ledger, "1.2.3")
    with ledger._database.transaction() as connection:  # SQLite's own limit on pages: the same error as a full disk
        connection.exec_driver_sql("PRAGMA max_page_count=1")
    with pytest.raises(LedgerError, match="disk"):
        ledger.arriving("1.2.4", "CT " * 100_000, "Coming.")
    assert ledger.job(job_id) is not None
    ledger.close()
