"""Question and Answer: what a radiologist asks about a place while reading, and what the model says. An answer is a draft.

Places are array indices, as everywhere: zero-based ``(slice, row, column)`` in the pixel matrix of the series.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from radiology.finding import Box, Region, Side
from radiology.judgement import Observer
from radiology.report import ModelIdentity


class QuestionKind(StrEnum):
    """What is asked."""

    SEGMENT = "segment"
    """Draw what the words, the points or the box say."""
    WHAT = "what"
    """Say what is at the points or in the box."""


class QuestionState(StrEnum):
    """Where a question is."""

    QUEUED = "queued"
    """Waiting for a worker."""
    RUNNING = "running"
    """A worker holds a lease on it."""
    ANSWERED = "answered"
    """There is an answer."""
    FAILED = "failed"
    """There is none; the reason says why."""


@dataclass(frozen=True)
class Point:
    """A pixel of the slice that is asked about: what is meant lies there, or (not ``is_positive``) does not."""

    row: int
    column: int
    is_positive: bool = True


@dataclass(frozen=True)
class Prompt:
    """What was asked.

    Attributes:
        kind: what is asked.
        series_uid: the series that was looked at.
        slice_index: the slice that was looked at; points and box are on it.
        words: the radiologist's own, at most 200 characters of one line; may hold anything, so they are never logged and the
            model's special tokens in them must be neutralised. Empty where points or box say it all.
        points: where the radiologist clicked, in turn.
        box: what the radiologist drew, one slice thick; None where nothing.
        follows: the question whose answer is refined: its prompts and its mask go on. None for a new one.
        through_slices: whether the mask is to be followed through the volume; of no meaning on a radiograph.
    """

    kind: QuestionKind
    series_uid: str
    slice_index: int
    words: str = ""
    points: tuple[Point, ...] = ()
    box: Box | None = None
    follows: int | None = None
    through_slices: bool = True


@dataclass(frozen=True)
class Answer:
    """What the model says.

    Attributes:
        sentence: the words that the radiologist reads.
        model: what answered.
        name: a name of :data:`radiology.terms.TERMS`; empty where no term fits.
        side: the patient's side.
        confidence: 0 to 1, the model's own; None where it has none.
        regions: what was drawn; none where there is nothing of that kind.
        cited: the place that the words are about, one slice thick, where nothing was drawn or it differs.
    """

    sentence: str
    model: ModelIdentity
    name: str = ""
    side: Side | None = None
    confidence: float | None = None
    regions: tuple[Region, ...] = ()
    cited: Box | None = None


@dataclass(frozen=True)
class Question:
    """One row of the ledger: what was asked, by whom, and what became of it. Rows stay: they are the audit log."""

    question_id: int
    study_uid: str
    prompt: Prompt
    observer: Observer
    state: QuestionState
    reason: str
    answer: Answer | None
    created: datetime
    updated: datetime
