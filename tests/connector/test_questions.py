"""The ledger's book of questions, on SQLite and on PostgreSQL: one taker each, nothing lost, and all of it kept."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from connector.ledger import Ledger
from radiology.errors import IllegalTransition
from radiology.finding import Box, Region, Side
from radiology.judgement import Observer
from radiology.question import Answer, Point, Prompt, QuestionKind, QuestionState
from radiology.report import ModelIdentity

READER = Observer("Curie^Marie", "Institut du Radium")
MODEL = ModelIdentity("small", "1", "ab" * 32)
PROMPT = Prompt(QuestionKind.SEGMENT, "1.2.1", 4, "the left lower lobe", (Point(10, 20), Point(3, 4, False)), Box((4, 0, 0), (5, 30, 40)))
MASK = np.random.default_rng(5).random((3, 5, 7)) > 0.5
ANSWER = Answer(
    "The left lower lobe.",
    MODEL,
    "lung",
    Side.LEFT,
    0.75,
    (Region("1.2.1", Box((3, 10, 20), (6, 15, 27)), MASK, 0.5, read_slices=(4,)),),
    Box((4, 10, 20), (5, 15, 27)),
)


def test_a_question_is_asked_taken_and_answered_and_all_of_it_is_kept(ledger: Ledger, study: str) -> None:
    asked = ledger.questions.ask(study, PROMPT, READER)
    assert (asked.prompt, asked.observer, asked.state, asked.answer) == (PROMPT, READER, QuestionState.QUEUED, None)
    taken = ledger.questions.take(asked.question_id, "worker-1")
    assert taken is not None
    assert taken.prompt == PROMPT
    answered = ledger.questions.answer(asked.question_id, "worker-1", ANSWER)
    assert ledger.questions.question(asked.question_id) == answered
    assert (answered.state, answered.answer) == (QuestionState.ANSWERED, ANSWER)
    assert [each.question_id for each in ledger.questions.of_study(study)] == [asked.question_id]


def test_only_one_worker_answers_a_question(ledger: Ledger, study: str) -> None:
    asked = ledger.questions.ask(study, PROMPT, READER)
    assert ledger.questions.take(asked.question_id, "worker-1") is not None
    assert ledger.questions.take(asked.question_id, "worker-2") is None
    with pytest.raises(IllegalTransition, match="worker-2"):
        ledger.questions.answer(asked.question_id, "worker-2", ANSWER)


def test_a_question_that_cannot_be_answered_says_why(ledger: Ledger, study: str) -> None:
    asked = ledger.questions.ask(study, PROMPT, READER)
    ledger.questions.take(asked.question_id, "worker-1")
    failed = ledger.questions.fail(asked.question_id, "worker-1", "The series is not in the archive.")
    assert (failed.state, failed.reason, failed.answer) == (QuestionState.FAILED, "The series is not in the archive.", None)


def test_a_lost_message_is_sent_again_and_a_dead_workers_question_goes_to_another(ledger: Ledger, study: str) -> None:
    asked = ledger.questions.ask(study, PROMPT, READER)
    start = datetime.now(UTC)
    assert asked.question_id not in ledger.questions.sweep(start)
    assert asked.question_id in ledger.questions.sweep(start + timedelta(seconds=61))
    ledger.questions.take(asked.question_id, "worker-1")
    ledger.questions.renew(asked.question_id, "worker-1")
    assert asked.question_id in ledger.questions.sweep(start + timedelta(seconds=300))
    with pytest.raises(IllegalTransition):
        ledger.questions.renew(asked.question_id, "worker-1")
    ledger.questions.take(asked.question_id, "worker-2")
    assert asked.question_id not in ledger.questions.sweep(start + timedelta(seconds=3000))
    failed = ledger.questions.question(asked.question_id)
    assert failed is not None
    assert (failed.state, failed.reason) == (QuestionState.FAILED, "Its worker gave no sign; ask again.")


def test_a_clock_that_is_set_back_holds_up_no_question(ledger: Ledger, study: str) -> None:
    lost, held = (ledger.questions.ask(study, PROMPT, READER).question_id for _ in range(2))
    ledger.questions.take(held, "worker-1")
    now = datetime.now(UTC) - timedelta(hours=1)
    swept = ledger.questions.sweep(now)
    assert lost in swept
    assert held not in swept
    assert held in ledger.questions.sweep(now + timedelta(seconds=61))


def test_who_looks_now_and_then_sees_what_has_changed(ledger: Ledger, study: str) -> None:
    first, second = (ledger.questions.ask(study, PROMPT, READER).question_id for _ in range(2))
    before = ledger.questions.last_changes(study)
    assert list(before) == [first, second]
    ledger.questions.take(second, "worker-1")
    after = ledger.questions.last_changes(study)
    assert [number for number in after if after[number] != before[number]] == [second]
