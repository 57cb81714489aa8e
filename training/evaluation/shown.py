"""What a report shows of an image: sentences and where they point, before or after the engine's own check."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ai_engine.consistency import Checked, passed_on, pixels_of
from ai_engine.model.images import Kind
from ai_engine.model.reading import Reading
from radiology.errors import UnreadableAnswer
from radiology.finding import Presence, Side
from radiology.terms import TERMS
from training.evaluation.overlap import Mask
from training.evaluation.truth import SIDES, Truth

TOGETHER = 8
"""Images that are read at once."""


class Reader(Protocol):
    """What is evaluated: :class:`~ai_engine.model.assistant.Assistant` has it, and so does whatever is to be compared with it."""

    def read_many(self, arrays: Sequence[NDArray[np.float32]], kind: Kind) -> Sequence[Reading | UnreadableAnswer]:
        """Read images (row, column) of one kind in the standard view; return a reading of each, or why there is none."""


@dataclass(frozen=True, eq=False)
class Shown:
    """What one image's report shows.

    Attributes:
        truth: the image, for the places of what is shown.
        reading: what the reader said; None where its answer could not be read.
        statements: what of it is shown, with the places that are shown.
    """

    truth: Truth
    reading: Reading | None
    statements: tuple[Checked, ...]

    def passed_on(self, unreliable: Sequence[str] = ()) -> Self:
        """What the engine would pass on of the same reading; nothing of ``unreliable`` names."""
        if self.reading is None:
            return self
        return replace(self, statements=tuple(passed_on(self.reading, self.truth.image, self.truth.kind, unreliable)[0]))

    def about(self, names: Collection[str]) -> list[Checked]:
        """The statements about ``names``."""
        return [statement for statement in self.statements if statement.sentence.name in names]

    def positive(self, names: Collection[str]) -> list[Checked]:
        """The statements that one of ``names`` is there, or may be."""
        return [statement for statement in self.about(names) if statement.sentence.presence is not Presence.ABSENT]

    @property
    def text(self) -> str:
        """The sentences."""
        return " ".join(statement.sentence.text for statement in self.statements)

    @property
    def abnormal(self) -> list[Checked]:
        """The statements that a finding is there, or may be; devices and structures are none."""
        return self.positive([name for name, term in TERMS.items() if term.kind == "finding"])

    def where(self, names: Collection[str], side: Side | None = None) -> Mask:
        """The pixels marked for ``names``, on one side or altogether; what is marked for no side or both is cut at the middle."""
        marked = np.zeros(self.truth.shape, np.bool_)
        for statement in self.positive(names):
            for place in statement.sentence.places:
                stated = place.side or statement.sentence.side
                pixels = pixels_of(place, self.truth.shape)
                if side is None or stated is side:
                    marked |= pixels
                elif stated not in SIDES:
                    marked |= pixels & self.truth.half(side)
        return marked

    def sides(self, names: Collection[str]) -> frozenset[Side]:
        """The sides on which ``names`` are stated; where the words say none, those on which something is marked."""
        sides: set[Side] = set()
        for statement in self.positive(names):
            stated = statement.sentence.side
            places = statement.sentence.places
            if stated is None:
                sides |= {place.side or self.truth.side_of(pixels_of(place, self.truth.shape)) for place in places}
            else:
                sides |= set(SIDES) if stated is Side.BILATERAL else {stated}
        return frozenset(sides)


def read(reader: Reader, truths: Iterable[Truth]) -> Iterator[Shown]:
    """Read images, :data:`TOGETHER` at a time; everything that the reader says is kept."""
    for kind, of_kind in groupby(truths, lambda truth: truth.kind):
        while together := list(islice(of_kind, TOGETHER)):
            readings = reader.read_many([truth.image for truth in together], kind)
            for truth, reading in zip(together, readings, strict=True):
                if isinstance(reading, UnreadableAnswer):
                    yield Shown(truth, None, ())
                else:
                    yield Shown(truth, reading, tuple(Checked(sentence) for sentence in reading.sentences))
