"""A series as the model looks at it: which image of it, in the standard view, slice by slice, and places from and to its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ai_engine.model.hint import Hint
from ai_engine.model.images import Box as Flat
from ai_engine.model.images import Kind
from ai_engine.orientation import Turn, turn_of_projection, turn_of_volume
from radiology.errors import UnsupportedImage
from radiology.finding import Box
from radiology.image import Image, Projection, Volume
from radiology.question import Point, Prompt
from radiology.study import Series


@dataclass(frozen=True, eq=False)
class View:
    """One image of a series, with its kind, its turn into the standard view and the spacing of its rows and columns."""

    image: Image
    kind: Kind
    turn: Turn
    spacing_mm: tuple[float, float] | None

    @classmethod
    def of(cls, series: Series, images: Sequence[Image], slice_index: int) -> View:
        """Choose the image that has a slice; ``UnsupportedImage`` where the model cannot look at it, or there is no such slice."""
        for image in images:
            if isinstance(image, Volume) and slice_index < len(image.array):
                if series.modality != "CT":
                    raise UnsupportedImage(f"Series {series.series_uid} is {series.modality}; ask about a radiograph or a CT.")
                return cls(image, "ct", turn_of_volume(image), image.spacing_mm[1:])
            if isinstance(image, Projection) and image.slice_index == slice_index:
                turn = turn_of_projection(image, series.frames[slice_index].header)
                return cls(image, "projection", turn, image.spacing_mm)
        raise UnsupportedImage(f"Series {series.series_uid} has no slice {slice_index + 1} that can be looked at.")

    @property
    def slices(self) -> range:
        """The slices that a mask can be carried to."""
        return range(len(self.image.array)) if isinstance(self.image, Volume) else range(self.image.slice_index, self.image.slice_index + 1)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.image.array.shape[-2:]
        return rows, columns

    def picture(self, index: int) -> NDArray[np.float32]:
        """Return a slice (row, column) in the standard view."""
        return self.turn.apply(self.image.array[index] if isinstance(self.image, Volume) else self.image.array)

    def hint(self, prompt: Prompt, points: Sequence[Point], before: NDArray[np.bool_] | None) -> Hint:
        """Return what was pointed at, in the standard view; ``UnsupportedImage`` where that is outside the slice."""
        rows, columns = self.shape
        edges = [(point.row, point.column, point.row + 1, point.column + 1) for point in points] + (
            [flat(prompt.box)] if prompt.box else []
        )
        if any(top < 0 or left < 0 or bottom > rows or right > columns for top, left, bottom, right in edges):
            raise UnsupportedImage(f"A point or a box lies outside the {rows} x {columns} pixels of the slice; point inside the image.")
        placed = []
        for point in points:
            row, column, _, _ = self.turn.apply_to_box((point.row, point.column, point.row + 1, point.column + 1), self.shape)
            placed.append(Point(row, column, point.is_positive))
        box = None if prompt.box is None else self.turn.apply_to_box(flat(prompt.box), self.shape)
        return Hint(placed, box, None if before is None else self.turn.apply(before))

    def cited(self, index: int, box: Flat) -> Box:
        """Return a box of the standard view as a place in the series."""
        top, left, bottom, right = self.turn.apply_to_box(box, self.shape)
        return Box((index, top, left), (index + 1, bottom, right))


def flat(box: Box) -> Flat:
    """Return a place (slice, row, column) without its slices."""
    return box.start[1], box.start[2], box.stop[1], box.stop[2]
