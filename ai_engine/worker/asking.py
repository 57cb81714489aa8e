"""Answering one question, from its number to its answer in the ledger: take, fetch the one series, look, answer, record.

The series that was asked about last is kept with what the model has seen of it, so that a second click is answered at once. An
answer is a draft and goes nowhere but into the ledger, which is the log of what was asked and answered.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from ai_engine.answering import Answerer
from ai_engine.worker.lease import renewed
from connector.ledger import Ledger
from connector.pacs import Pacs
from radiology import image
from radiology.errors import EngineError, PacsError, StudyError, UnsupportedImage
from radiology.image import Image
from radiology.question import Question, QuestionState
from radiology.study import Series

_log = structlog.get_logger()


@dataclass(frozen=True, eq=False)
class _Opened:
    """A series as it was when the archive held so many instances of its study."""

    study_uid: str
    held: int
    series: Series
    images: Sequence[Image]


class Consultant:
    """Answers questions, and keeps the series that is looked at."""

    def __init__(self, name: str, ledger: Ledger, pacs: Pacs, answerer: Answerer) -> None:
        """``name`` says in the ledger who holds a question."""
        self.name = name
        self.ledger = ledger
        self._pacs, self._answerer = pacs, answerer
        self._opened: _Opened | None = None

    def answer_question(self, question_id: int) -> Question | None:
        """Answer one question, and return it as it is afterwards; None where it is not queued (any more).

        Raises:
            LedgerError: the ledger cannot be written, or gave the question to another worker meanwhile.
        """
        questions = self.ledger.questions
        question = questions.take(question_id, self.name)
        if question is None:
            return None
        lease = renewed(lambda: questions.renew(question_id, self.name), self.ledger.lease_seconds)
        with structlog.contextvars.bound_contextvars(question_id=question_id, study_uid=question.study_uid), lease:
            started = time.monotonic()
            try:
                opened = self._open(question.study_uid, question.prompt.series_uid)
                answer = self._answerer.answer(question.prompt, opened.series, opened.images, self.earlier(question))
                after = questions.answer(question_id, self.name, answer)
            except (StudyError, PacsError, EngineError) as error:
                after = questions.fail(question_id, self.name, str(error))
            # Neither words nor answer: both may hold what a person typed.
            reason = after.reason if after.state is QuestionState.FAILED else ""
            _log.info(str(after.state), kind=str(question.prompt.kind), seconds=round(time.monotonic() - started, 3), reason=reason)
        return after

    def earlier(self, question: Question) -> list[Question]:
        """Return the questions that one follows, the first one first."""
        chain: list[Question] = []
        before = question.prompt.follows
        while before is not None:
            found = self.ledger.questions.question(before)
            if found is None or found.answer is None:
                break
            chain.insert(0, found)
            before = found.prompt.follows
        return chain

    def _open(self, study_uid: str, series_uid: str) -> _Opened:
        held = self._pacs.count(study_uid)
        here = self._opened
        if here and (here.study_uid, here.held, here.series.series_uid) == (study_uid, held, series_uid):
            return here
        self._opened = None
        self._answerer.forget()
        series = next((each for each in self._pacs.fetch(study_uid).series if each.series_uid == series_uid), None)
        if series is None:
            raise UnsupportedImage(f"Study {study_uid} has no series {series_uid} of images; ask about another one.")
        self._opened = _Opened(study_uid, held, series, image.load(series, self._pacs.instances(series)))
        return self._opened
