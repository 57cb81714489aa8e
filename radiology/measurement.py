"""Measurement: one number about a place, and the lines that it was measured along."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

Point = tuple[float, float, float]
"""``(slice, row, column)``; rows and columns are counted from the outer edge of the first pixel, as the edges of a box are."""
Line = tuple[Point, Point]


class Quantity(StrEnum):
    """What is measured."""

    AREA = "area"
    VOLUME = "volume"
    LONG_AXIS = "long axis"
    SHORT_AXIS = "short axis"
    CARDIOTHORACIC_RATIO = "cardiothoracic ratio"


UNITS: dict[Quantity, str] = {
    Quantity.AREA: "mm2",
    Quantity.VOLUME: "cm3",
    Quantity.LONG_AXIS: "mm",
    Quantity.SHORT_AXIS: "mm",
    Quantity.CARDIOTHORACIC_RATIO: "1",
}
"""Unit of each quantity, in UCUM."""


@dataclass(frozen=True)
class Measurement:
    """One number.

    Attributes:
        quantity: what was measured.
        value: in the unit of ``UNITS``.
        lines: what was measured along, the longer first; empty where an area or a volume was counted.
    """

    quantity: Quantity
    value: float
    lines: tuple[Line, ...] = ()
