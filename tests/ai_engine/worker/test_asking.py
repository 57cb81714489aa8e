"""A question goes from the ledger to an answer in it, over a real archive; a second one about the same series needs no pixels again."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from celery import Celery
from pydicom import Dataset
from pydicom.dataset import FileDataset

from ai_engine.answering import Answerer
from ai_engine.engine import Engine
from ai_engine.model.assistant import Assistant
from ai_engine.worker.asking import Consultant
from ai_engine.worker.reading import Worker
from ai_engine.worker.tasks import register
from connector.delivery import Delivery
from connector.ledger import Ledger
from connector.pacs import Pacs
from connector.queue import Queue
from radiology.errors import IllegalTransition
from radiology.finding import Box, Side
from radiology.jobs import ANSWER_QUESTION, READ_STUDY, JobState
from radiology.judgement import Observer
from radiology.question import Point, Prompt, Question, QuestionKind, QuestionState
from radiology.report import ModelIdentity
from radiology.settings import LedgerSettings, ResultSettings, Settings, WatcherSettings
from radiology.study import Series
from tests.ai_engine.chest_studies import ct, radiographs
from tests.orthanc import Orthanc

IDENTITY = ModelIdentity("sightline-tiny", "0", "0" * 64)
READER = Observer("Curie^Marie", "Institut du Radium")
SEGMENT, WHAT = QuestionKind.SEGMENT, QuestionKind.WHAT


@pytest.fixture
def ledger(tmp_path: object) -> Iterator[Ledger]:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.sqlite", LedgerSettings())
    yield ledger
    ledger.close()


@pytest.fixture
def pacs(orthanc: Orthanc) -> Pacs:
    return Pacs.connect(orthanc.settings.pacs)


@pytest.fixture
def consultant(versed: Assistant, ledger: Ledger, pacs: Pacs) -> Consultant:
    return Consultant("worker-1", ledger, pacs, Answerer(versed, IDENTITY))


def asked(
    consultant: Consultant, study: list[FileDataset], words: str = "right lung", kind: QuestionKind = SEGMENT, **prompt: object
) -> Question:
    """Ask about a study's one series, and have it answered."""
    put = replace(Prompt(kind, str(study[0].SeriesInstanceUID), 0, words), **prompt)  # type: ignore[arg-type]
    question = consultant.ledger.questions.ask(str(study[0].StudyInstanceUID), put, READER)
    after = consultant.answer_question(question.question_id)
    assert after is not None
    return after


@pytest.mark.parametrize("slices", [0, 4], ids=["radiograph", "CT"])
def test_a_question_is_answered_and_its_answer_kept_with_the_model_that_gave_it(consultant: Consultant, pacs: Pacs, slices: int) -> None:
    study = ct(slices) if slices else radiographs("PA")
    pacs.store(study)
    after = asked(consultant, study)
    assert after.state is QuestionState.ANSWERED, after.reason
    assert after.answer is not None
    assert (after.answer.sentence, after.answer.name, after.answer.side) == ("The right lung.", "lung", Side.RIGHT)
    assert after.answer.model == IDENTITY
    (region,) = after.answer.regions
    assert region.series_uid == study[0].SeriesInstanceUID
    assert region.box.shape[0] == max(1, slices)
    assert consultant.ledger.questions.question(after.question_id) == after


def test_what_is_drawn_stays_out_of_the_archive(consultant: Consultant, pacs: Pacs) -> None:
    study = radiographs("PA")
    pacs.store(study)
    asked(consultant, study)
    assert pacs.count(str(study[0].StudyInstanceUID)) == 1


def test_the_series_that_is_looked_at_is_fetched_once_until_its_study_changes(
    consultant: Consultant, pacs: Pacs, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = radiographs("PA")
    pacs.store(study)
    fetched: list[str] = []
    of_archive = Pacs.instances

    def counted(self: Pacs, series: Series) -> list[Dataset]:
        fetched.append(series.series_uid)
        return of_archive(self, series)

    monkeypatch.setattr(Pacs, "instances", counted)
    answers = [asked(consultant, study).answer for _ in range(2)]
    assert len(fetched) == 1
    assert answers[0] == answers[1]
    late = radiographs("PA")
    late[0].StudyInstanceUID, late[0].SeriesInstanceUID = study[0].StudyInstanceUID, study[0].SeriesInstanceUID
    pacs.store(late)
    asked(consultant, study)
    assert len(fetched) == 2


def test_a_follow_up_knows_all_that_was_asked_before(consultant: Consultant, pacs: Pacs) -> None:
    study = radiographs("PA")
    pacs.store(study)
    first = asked(consultant, study)
    second = asked(consultant, study, "", WHAT, follows=first.question_id)
    third = asked(consultant, study, "", WHAT, follows=second.question_id, box=Box((0, 10, 10), (1, 60, 60)))
    assert [each.question_id for each in consultant.earlier(third)] == [first.question_id, second.question_id]
    assert second.state is third.state is QuestionState.ANSWERED
    assert second.answer is not None
    assert second.answer.cited is not None, "what is asked about is what the first one drew"


def test_only_one_worker_answers_and_a_question_that_is_not_there_is_left_alone(consultant: Consultant, pacs: Pacs) -> None:
    study = radiographs("PA")
    question = consultant.ledger.questions.ask(str(study[0].StudyInstanceUID), Prompt(SEGMENT, "1.2", 0, "lung"), READER)
    consultant.ledger.questions.take(question.question_id, "worker-2")
    assert consultant.answer_question(question.question_id) is None
    assert consultant.answer_question(404) is None


@pytest.mark.parametrize(
    ("study", "prompt", "reason"),
    [
        (lambda: radiographs("LL"), {}, "only frontal views"),
        (lambda: radiographs("PA"), {"slice_index": 3}, "no slice 4"),
        (lambda: radiographs("PA"), {"series_uid": "1.2.3"}, "no series 1.2.3"),
        (lambda: radiographs("PA"), {"points": (Point(3, 4),)}, "ask with words"),
    ],
    ids=["lateral view", "no such slice", "no such series", "weights without points"],
)
def test_what_cannot_be_answered_fails_with_a_sentence(
    consultant: Consultant, pacs: Pacs, study: object, prompt: dict[str, object], reason: str
) -> None:
    instances = study()  # type: ignore[operator]
    pacs.store(instances)
    after = asked(consultant, instances, "right lung", SEGMENT, **prompt)
    assert (after.state, after.answer) == (QuestionState.FAILED, None)
    assert reason in after.reason


def test_a_study_that_the_archive_does_not_hold_fails_with_a_sentence(consultant: Consultant) -> None:
    assert "send it again" in asked(consultant, radiographs("PA")).reason


def test_what_a_person_types_is_not_logged(consultant: Consultant, pacs: Pacs) -> None:
    study = radiographs("PA")
    pacs.store(study)
    with structlog.testing.capture_logs() as logs:
        asked(consultant, study, "pneumothorax of Jane Doe")
    assert logs
    assert "Doe" not in repr(logs)


def test_unforeseen_failures_of_both_tasks_are_recorded_without_their_words(
    versed: Assistant, ledger: Ledger, pacs: Pacs, tmp_path: Path
) -> None:
    class Broken(Answerer):
        def answer(self, *_: object) -> None:  # type: ignore[override]
            raise ValueError("Patient Name: DOE^JANE")

    class Breaking(Engine):
        def read(self, *_: object) -> None:  # type: ignore[override]
            raise ValueError("Patient Name: DOE^JANE")

    app = Celery()
    pacs.store(film := radiographs("PA"))
    delivery = Delivery(Settings(), pacs, ledger.commitments)
    worker = Worker("worker-1", ledger, pacs, Breaking(versed, IDENTITY, 2), WatcherSettings(), ResultSettings(), delivery)
    queue = Queue(Settings(data_folder=tmp_path))
    register(app, worker, Consultant("worker-1", ledger, pacs, Broken(versed, IDENTITY)), queue)
    job = ledger.queue(ledger.arriving(film[0].StudyInstanceUID, "DX CHEST", "Coming.").job_id, "digest", "Quiet.")
    question = ledger.questions.ask(film[0].StudyInstanceUID, Prompt(SEGMENT, str(film[0].SeriesInstanceUID), 0, "lung"), READER)
    app.tasks[READ_STUDY](job.job_id)
    app.tasks[ANSWER_QUESTION](question.question_id)
    failed_job, failed_question = ledger.job(job.job_id), ledger.questions.question(question.question_id)
    assert failed_job is not None
    assert failed_question is not None
    assert (failed_job.state, failed_question.state) == (JobState.FAILED, QuestionState.FAILED)
    for reason in (failed_job.reason, failed_question.reason):
        assert "unexpected ValueError" in reason
        assert "DOE" not in reason


def test_a_question_that_was_given_to_another_worker_meanwhile_is_not_answered_twice(versed: Assistant, ledger: Ledger, pacs: Pacs) -> None:
    study = radiographs("PA")
    pacs.store(study)

    class Slow(Answerer):
        def answer(self, *given: object):  # type: ignore[no-untyped-def, override]
            ledger.questions.fail(question.question_id, "worker-1", "Taken away.")
            return super().answer(*given)  # type: ignore[arg-type]

    prompt = Prompt(SEGMENT, str(study[0].SeriesInstanceUID), 0, "right lung")
    question = ledger.questions.ask(str(study[0].StudyInstanceUID), prompt, READER)
    with pytest.raises(IllegalTransition):
        Consultant("worker-1", ledger, pacs, Slow(versed, IDENTITY)).answer_question(question.question_id)
    assert ledger.questions.question(question.question_id).reason == "Taken away."  # type: ignore[union-attr]
