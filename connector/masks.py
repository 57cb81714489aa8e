"""Masks in JSON: base64 of ``numpy.packbits(mask.ravel())``: C order (slice, row, column), the first pixel in the highest bit."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

PackedMask = Annotated[
    str,
    Field(
        max_length=96 << 20,
        description="base64 of the pixels of the box as bits: C order (slice, row, column), the first pixel in the highest bit.",
    ),
]


def pack(mask: NDArray[np.bool_]) -> str:
    """Return a mask as text."""
    return base64.b64encode(np.packbits(mask.ravel()).tobytes()).decode()


def unpack(packed: str, shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Return the mask, boolean of ``shape`` (slice, row, column); ``ValueError`` where the text does not hold exactly that."""
    try:
        octets = np.frombuffer(base64.b64decode(packed, validate=True), np.uint8)
    except binascii.Error as error:
        raise ValueError("The mask is not base64.") from error
    pixels = int(np.prod(shape))
    if octets.size != -(-pixels // 8):
        raise ValueError(f"The mask has {octets.size} bytes; its box of {shape} slices, rows and columns needs {-(-pixels // 8)}.")
    return np.unpackbits(octets, count=pixels).astype(bool).reshape(shape)
