"""Reading a volume slice by slice: which slices the model reads, and how what it says of them becomes one statement each.

The model reads single pictures. A volume is read at *key slices*; from each, a mask is followed into the slices around it
(SAM 2's memory carries it from slice to slice) for as long as it overlaps the mask before, at most half way to the next key
slice. So a mask stays one piece along the slices, and never jumps to another structure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ai_engine.consistency import Checked, normality_flags
from ai_engine.model.reading import ReadSentence
from radiology.finding import Presence, Region, Side

LUNG_HU = (-950.0, -500.0)
"""Aerated lung; air outside the body is below it."""
LUNG_SHARE = 0.2
"""A slice belongs to the lungs when it shows at least this share of the lung area of the fullest slice."""
LEAST_LUNG = 0.01
"""With less lung than this share of the fullest slice, the volume does not show lungs and is read from end to end."""

Follow = Callable[[int, Sequence[Any], Sequence[int]], Iterator[Sequence[NDArray[np.bool_]]]]
"""From this key slice, carry the masks of these ``[SEG]`` states through those slices: slice by slice one mask (row, column) each."""


@dataclass(frozen=True)
class Statement:
    """What all key slices together say of one name on one side.

    Attributes:
        words: the sentence that speaks for it, from the slice that shows it best.
        confidence: of a positive statement the highest of its slices, of a negative one the lowest.
        masks: slice index -> mask (row, column) in the standard view; empty for a negative statement.
        read: the key slices among them: there the model said it and drew the mask, on the others the mask was followed.
        boxes: slice index -> box, where the model gave a box and no mask.
        score: mean score of the masks on the key slices.
        flags: reasons for a second look.
    """

    words: ReadSentence
    confidence: float
    masks: Mapping[int, NDArray[np.bool_]]
    read: tuple[int, ...]
    boxes: Mapping[int, tuple[int, int, int, int]]
    score: float
    flags: tuple[str, ...]


def key_slices(array: NDArray[np.float32], count: int) -> list[int]:
    """Return up to ``count`` slice indices, spread evenly over the lungs of a CT ``(slice, row, column)`` in Hounsfield units."""
    coarse = array[:, ::4, ::4]
    lung = np.count_nonzero((coarse > LUNG_HU[0]) & (coarse < LUNG_HU[1]), axis=(1, 2))
    first, last = 0, len(array) - 1
    if lung.max() > LEAST_LUNG * coarse[0].size:
        within = np.flatnonzero(lung >= LUNG_SHARE * lung.max())
        first, last = int(within[0]), int(within[-1])
    edges = np.linspace(first, last + 1, count + 1)
    return sorted({int(middle) for middle in (edges[:-1] + edges[1:]) / 2})


@dataclass(frozen=True)
class _Said:
    """One sentence of one key slice, with its masks followed into the slices around."""

    key: int
    checked: Checked
    masks: dict[int, NDArray[np.bool_]]


def join(said: Mapping[int, Sequence[Checked]], slices: int, follow: Follow) -> list[Statement]:
    """Make one statement per name, side and presence out of what was said of each key slice.

    Args:
        said: key slice -> its checked sentences.
        slices: how many slices the volume has.
        follow: carries masks into the slices beside a key slice.

    Returns:
        Positive statements in the order in which they first came up, then the negative ones. A negative is stated only
        where every key slice states it and no slice states the finding.
    """
    groups: dict[tuple[str, Side | None, bool], list[_Said]] = defaultdict(list)
    for key, path in _paths(sorted(said), slices).items():
        for each in _follow(key, said[key], path, follow):
            sentence = each.checked.sentence
            groups[sentence.name or sentence.text, sentence.side, sentence.presence is Presence.ABSENT].append(each)
    abnormal = {key: sum(checked.is_abnormal for checked in sentences) for key, sentences in said.items()}
    positive = [_positive(group, abnormal) for (_, _, absent), group in groups.items() if not absent]
    there = [group[0].checked.sentence for group in groups.values() if group[0].checked.is_abnormal]
    positive = [replace(each, flags=tuple(dict.fromkeys((*each.flags, *normality_flags(each.words, there))))) for each in positive]
    stated = {name for name, _, absent in groups if not absent}
    negative = [
        _negative(group)
        for (name, _, absent), group in groups.items()
        if absent and name not in stated and {each.key for each in group} == set(said)
    ]
    return [*positive, *negative]


def stacked(series_uid: str, masks: Mapping[int, NDArray[np.bool_]], read: Collection[int], score: float) -> Region:
    """Return masks (row, column) by slice index as one place; ``read`` are the slices that were read, on the others masks were followed."""
    first, last = min(masks), max(masks)
    block = np.zeros((last + 1 - first, *masks[first].shape), np.bool_)
    for index, mask in masks.items():
        block[index - first] = mask
    region = Region.from_mask(series_uid, block, score, first)
    shown = range(region.box.start[0], region.box.stop[0])
    there = tuple(sorted(index for index in read if index in shown))
    return replace(region, read_slices=() if len(there) == len(shown) else there)


def _paths(keys: Sequence[int], slices: int) -> dict[int, tuple[range, range]]:
    """Return the slices above and below each key slice that are nearer to it than to another one, walking outwards.

    Outside the first and the last key slice it is as far as inside; a single key slice has the whole volume.
    """
    if len(keys) == 1:
        return {keys[0]: (range(keys[0] + 1, slices), range(keys[0] - 1, -1, -1))}
    paths = {}
    for before, key, after in zip([None, *keys], keys, [*keys[1:], None], strict=False):
        gap_before = key - before if before is not None else keys[1] - keys[0]
        gap_after = after - key if after is not None else keys[-1] - keys[-2]
        paths[key] = (range(key + 1, min(key + gap_after // 2 + 1, slices)), range(key - 1, max(key - (gap_before - 1) // 2 - 1, -1), -1))
    return paths


def _follow(key: int, sentences: Sequence[Checked], paths: tuple[range, range], follow: Follow) -> list[_Said]:
    """Follow every mask of one key slice along both paths, for as long as it overlaps the mask before."""
    members = [_Said(key, checked, {}) for checked in sentences]
    start = []
    for each in members:
        for place in each.checked.sentence.places:
            if place.mask is not None:
                each.masks[key] = each.masks.get(key, False) | place.mask.pixels
                if place.seg_state is not None:
                    start.append((each, place.seg_state, place.mask.pixels))
    for path in paths if start else ():
        alive = {number: mask for number, (_, _, mask) in enumerate(start)}
        for index, masks in zip(path, follow(key, [state for _, state, _ in start], path), strict=False):
            alive = {number: masks[number] for number, last in alive.items() if np.logical_and(masks[number], last).any()}
            if not alive:
                break
            for number, mask in alive.items():
                each = start[number][0]
                each.masks[index] = each.masks.get(index, False) | mask
    return members


def _positive(group: Sequence[_Said], abnormal: Mapping[int, int]) -> Statement:
    """Join the positive sentences of one name and side.

    The words come from the slice that shows most: for a structure the slice with most findings, so that "is clear" on one
    slice does not speak for a lung with a nodule on another; then the one with the largest mask. A structure's flags count
    only where no slice is without; a finding's always.
    """
    if not group[0].checked.is_abnormal:
        group = [each for each in group if not each.checked.flags] or group
    masks: dict[int, NDArray[np.bool_]] = {}
    boxes = {}
    scores = []
    for each in group:
        for index, mask in each.masks.items():
            masks[index] = masks.get(index, False) | mask
        for place in each.checked.sentence.places:
            if place.mask is not None:
                scores.append(place.mask.score)
            elif place.box is not None:
                boxes[each.key] = place.box

    def shows(each: _Said) -> tuple[int, int]:
        return 0 if each.checked.is_abnormal else abnormal[each.key], int(np.count_nonzero(each.masks.get(each.key, 0)))

    return Statement(
        words=max(group, key=shows).checked.sentence,
        confidence=max(each.checked.sentence.confidence for each in group),
        masks=masks,
        read=tuple(sorted({each.key for each in group if each.key in each.masks})),
        boxes=boxes,
        score=float(np.mean(scores)) if scores else 0.0,
        flags=tuple(dict.fromkeys(flag for each in group for flag in each.checked.flags)),
    )


def _negative(group: Sequence[_Said]) -> Statement:
    least_certain = min((each.checked.sentence for each in group), key=lambda sentence: sentence.confidence)
    flags = tuple(dict.fromkeys(flag for each in group for flag in each.checked.flags))
    return Statement(least_certain, least_certain.confidence, {}, (), {}, 0.0, flags)
