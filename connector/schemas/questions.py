"""Questions and their answers, as the HTTP API hears and says them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from connector.masks import PackedMask, pack
from connector.schemas.decisions import Heard
from connector.schemas.person import Person
from connector.schemas.reports import Model
from connector.schemas.text import Uid, Words
from radiology import question
from radiology.finding import Box, Region, Side
from radiology.question import QuestionKind, QuestionState
from radiology.study import Study

_Index = Annotated[int, Field(ge=0)]


class PointIn(Heard):
    """A pixel of the slice: what is meant lies there, or does not."""

    row: _Index
    column: _Index
    positive: bool


class BoxIn(Heard):
    """A box on the slice: pixels, half-open."""

    top: _Index
    left: _Index
    bottom: Annotated[int, Field(ge=1)]
    right: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _is_not_empty(self) -> Self:
        if self.top >= self.bottom or self.left >= self.right:
            raise ValueError("the box is empty; draw it larger")
        return self

    @classmethod
    def of(cls, box: Box) -> BoxIn:
        """Return the rows and columns of a box."""
        return cls(top=box.start[1], left=box.start[2], bottom=box.stop[1], right=box.stop[2])


class QuestionIn(Heard):
    """What is asked: in words, by points, by a box, or any of these together."""

    person: Person
    kind: QuestionKind
    words: Words = ""
    series_uid: Uid
    slice: _Index
    points: list[PointIn] = Field([], max_length=64)
    box: BoxIn | None = None
    follows: int | None = Field(
        None, ge=1, le=2**31 - 1, description="The question whose answer is refined: its points and its mask go on."
    )
    through_slices: bool = Field(True, description="Whether a mask is followed through a volume.")

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if not (self.points or self.box or self.follows or (self.words and self.kind is QuestionKind.SEGMENT)):
            raise ValueError("say what is meant: in words, with a point or with a box")
        return self

    @property
    def prompt(self) -> question.Prompt:
        """The question as the rest of the house knows it."""
        drawn = self.box
        box = Box((self.slice, drawn.top, drawn.left), (self.slice + 1, drawn.bottom, drawn.right)) if drawn else None
        points = tuple(question.Point(point.row, point.column, point.positive) for point in self.points)
        return question.Prompt(self.kind, self.series_uid, self.slice, self.words, points, box, self.follows, self.through_slices)

    @classmethod
    def of(cls, asked: question.Question) -> QuestionIn:
        """Return what was asked."""
        prompt = asked.prompt
        return cls(
            person=Person.of(asked.observer),
            kind=prompt.kind,
            words=prompt.words,
            series_uid=prompt.series_uid,
            slice=prompt.slice_index,
            points=[PointIn(row=point.row, column=point.column, positive=point.is_positive) for point in prompt.points],
            box=BoxIn.of(prompt.box) if prompt.box else None,
            follows=prompt.follows,
            through_slices=prompt.through_slices,
        )


class Drawn(BaseModel):
    """A place that the model drew."""

    series_uid: str
    instance_uid: str = Field(description="SOP Instance UID of the image with the largest part of the mask.")
    start: tuple[int, int, int] = Field(description="First slice, row and column.")
    stop: tuple[int, int, int] = Field(description="Slice, row and column after the last.")
    mask: PackedMask | None
    score: float = Field(description="The model's own certainty of the mask, 0 to 1; not calibrated.")

    @classmethod
    def of(cls, region: Region, study: Study) -> Drawn:
        """Return the region as the API says it. ``StudyError`` where its series is not in the study."""
        return cls(
            series_uid=region.series_uid,
            instance_uid=study.find_series(region.series_uid).frames[region.key_slice].uid,
            start=region.box.start,
            stop=region.box.stop,
            mask=None if region.mask is None else pack(region.mask),
            score=region.score,
        )


class Answer(BaseModel):
    """What the model says: a draft, which a decision may take into the report."""

    sentence: str
    name: str = Field(description="The term; empty where none fits.")
    side: Side | None
    confidence: float | None = Field(description="The model's own, 0 to 1; not calibrated.")
    places: list[Drawn]
    cited: BoxIn | None = Field(description="What the words are about, on the slice of the question.")
    model: Model

    @classmethod
    def of(cls, answer: question.Answer, study: Study | None) -> Answer:
        """Return the answer as the API says it; ``study`` may be missing where nothing was drawn.

        Raises:
            StudyError: it drew in a series that is not in the study.
        """
        return cls(
            sentence=answer.sentence,
            name=answer.name,
            side=answer.side,
            confidence=answer.confidence,
            places=[Drawn.of(region, study) for region in answer.regions] if study else [],
            cited=BoxIn.of(answer.cited) if answer.cited else None,
            model=Model.model_validate(answer.model),
        )


class Question(BaseModel):
    """A question, and what became of it."""

    question_id: int
    study_uid: str
    asked: QuestionIn
    state: QuestionState
    reason: str
    answer: Answer | None
    created: datetime
    updated: datetime

    @classmethod
    def of(cls, asked: question.Question, study: Study | None) -> Question:
        """Return the question as the API says it; as :meth:`Answer.of`."""
        return cls(
            question_id=asked.question_id,
            study_uid=asked.study_uid,
            asked=QuestionIn.of(asked),
            state=asked.state,
            reason=asked.reason,
            answer=Answer.of(asked.answer, study) if asked.answer else None,
            created=asked.created,
            updated=asked.updated,
        )
