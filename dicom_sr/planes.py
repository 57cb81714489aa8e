"""The pixels of a Segmentation's frames, packed from masks in their boxes.

Masks are :class:`~radiology.finding.Region` objects of one series, all with a mask; slices count in that series.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiology.finding import Region


def bit_planes(regions: Sequence[Region], places: Sequence[tuple[int, int]], rows: int, columns: int) -> bytes:
    """Return frames of one bit a pixel, the first pixel in the lowest bit (PS3.5 8.1.1). Rows x columns is a multiple of 8.

    Args:
        regions: a mask for each segment.
        places: for each frame which of them, and the slice in the series.
        rows, columns: size of a frame.
    """
    planes = np.zeros((len(places), rows * columns // 8), np.uint8)
    bits = np.zeros((rows, columns), np.bool_)
    for plane, (segment, index) in zip(planes, places, strict=True):
        window, mask = _on_slice(regions[segment], index)
        bits[window] = mask
        plane[:] = np.packbits(bits, bitorder="little")
        bits[window] = False
    return planes.tobytes()


def byte_planes(regions: Sequence[Region], places: Sequence[tuple[int, int]], rows: int, columns: int) -> bytes:
    """Return frames of one byte a pixel, 0 and 1; arguments as of :func:`bit_planes`."""
    planes = np.zeros((len(places), rows, columns), np.uint8)
    for plane, (segment, index) in zip(planes, places, strict=True):
        window, mask = _on_slice(regions[segment], index)
        plane[window] = mask
    return _even(planes)


def label_planes(regions: Sequence[Region], slices: Sequence[int], rows: int, columns: int) -> bytes:
    """Return frames whose pixels are segment numbers, and 0 where there is none: a byte each, two for more than 255 segments."""
    planes = np.zeros((len(slices), rows, columns), np.min_scalar_type(len(regions)).newbyteorder("<"))
    for plane, index in zip(planes, slices, strict=True):
        for number, region in enumerate(regions, 1):
            if region.box.start[0] <= index < region.box.stop[0]:
                window, mask = _on_slice(region, index)
                plane[window][mask] = number
    return _even(planes)


def shown(regions: Sequence[Region], first: int, stop: int) -> NDArray[np.uint8]:
    """Return 1 where a region has a pixel on a slice, (slice from ``first`` to ``stop``, 1, 1, region)."""
    array = np.zeros((stop - first, 1, 1, len(regions)), np.uint8)
    for index, region in enumerate(regions):
        start = region.box.start[0] - first
        array[start : start + region.box.shape[0], 0, 0, index] = np.asarray(region.mask).any(axis=(1, 2))
    return array


def any_overlap(regions: Sequence[Region]) -> bool:
    """Whether two regions of a series share a pixel."""
    return any(_overlap(one, other) for one, other in combinations(regions, 2))


def _overlap(one: Region, other: Region) -> bool:
    low = np.maximum(one.box.start, other.box.start)
    high = np.minimum(one.box.stop, other.box.stop)
    if (low >= high).any():
        return False
    first, second = (
        np.asarray(region.mask)[tuple(slice(*ends) for ends in zip(low - region.box.start, high - region.box.start, strict=True))]
        for region in (one, other)
    )
    return bool((first & second).any())


def _on_slice(region: Region, index: int) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
    """The window of a region in a frame, and its mask on one slice."""
    _, in_rows, in_columns = region.box.slices
    return (in_rows, in_columns), np.asarray(region.mask)[index - region.box.start[0]]


def _even(planes: NDArray[Any]) -> bytes:
    """The bytes of frames, padded to an even length (PS3.5 7.1.1)."""
    return planes.tobytes() + bytes(planes.nbytes % 2)
