"""The steps by which the model came to its report: what it looked at, in turn, and what it said there."""

from __future__ import annotations

from dataclasses import dataclass

from radiology.finding import Box


@dataclass(frozen=True)
class Look:
    """One step.

    Attributes:
        words: what the model said, without marks.
        series_uid: the series that it looked at.
        box: the place; None where the step is about the whole image.
    """

    words: str
    series_uid: str
    box: Box | None = None
