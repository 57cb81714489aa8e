"""The first check: words against side against box against mask. What disagrees is flagged; what nothing supports is withheld.

It looks at one picture in the standard view (the patient's right on the image's left), and at what the model said of it.

    what is seen                                            what follows
    a mask has pieces far smaller than its largest          the pieces are erased
    a mask is empty, or a few specks                        the place is dropped
    a place lies mostly outside the body                    the place is dropped
    a finding's place is not clearly on the side it names   the place is dropped
    a finding is stated, and no place is left               the sentence is withheld
    the model, asked again, doubts what it said of one      the sentence is withheld
    a structure is named, and no place is left              flagged
    a structure's place is not on the side that words name  flagged
    the words name both sides, the places are on one        flagged
    the box of the reasoning and the mask disagree          flagged
    a place is far too large for its name                   flagged
    one finding is both stated and denied                   the denial is withheld, the statement flagged
    a structure is called normal, and a finding in it is
    stated                                                  flagged, of a volume by all its slices together
    a structure of a radiograph is called normal, and the
    model doubts that there is no finding in it             flagged
    a structure is called abnormal, and nothing is stated
    in it                                                   flagged, of a volume by all its slices together
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ai_engine.model.answer import names_in
from ai_engine.model.images import Kind
from ai_engine.model.reading import Place, Reading, ReadSentence
from radiology.finding import Box, Presence, Side
from radiology.terms import TERMS

SPECK_PIXELS = 4
"""A mask of fewer pixels than this is no place."""
STRAY_SHARE = 0.25
"""A piece of a mask smaller than this share of its largest piece is a stray; two lungs under one mark are none."""
OUTSIDE_SHARE = 0.5
"""More of a place than this outside the body, and the place is dropped."""
CLEAR_SHARE = 0.75
"""A place of which less is on one side of the patient, as a share of what is on either, is not clearly on that side."""
BOX_IOU = 0.3
"""Less overlap than this between the reasoned box and the box of the mask, and the two disagree."""
LARGEST_SHARE = {"nodule": 0.05, "mass": 0.3}
"""The largest share of the body's area that a place of this name may take; ``LARGEST_SHARE_OF_ANY`` for the others."""
LARGEST_SHARE_OF_ANY = 0.75
WITHIN = {
    "lung": ("nodule", "mass", "consolidation", "ground glass opacity"),
    "heart": ("cardiomegaly",),
}
"""The findings that a structure is not normal with, as far as they are known; of other structures nobody can tell."""
_ABNORMAL = re.compile(r"\b(?:abnormal|not clear|not normal|enlarged)\b", re.IGNORECASE)
_NORMAL = re.compile(r"\b(?:clear|normal|unremarkable|no focal)\b", re.IGNORECASE)
_AIR_HU = -500.0
_OTHER_SIDE = {Side.RIGHT: Side.LEFT, Side.LEFT: Side.RIGHT}


@dataclass(frozen=True)
class Checked:
    """A sentence with the places that passed, and the reasons why it needs a second look."""

    sentence: ReadSentence
    flags: tuple[str, ...] = ()

    @property
    def is_abnormal(self) -> bool:
        """Whether it states a finding or a device, rather than a structure or an absence."""
        term = TERMS.get(self.sentence.name)
        return self.sentence.presence is not Presence.ABSENT and term is not None and term.kind != "structure"


def body_of(array: NDArray[np.float32], kind: Kind) -> NDArray[np.bool_]:
    """Return where the body is in one picture (row, column): its largest piece, with the lungs filled in.

    CT: what is denser than air. Radiograph: what is not as dark as the darkest border (direct exposure, shutters).
    """
    if kind == "ct":
        solid = array > _AIR_HU
    else:
        low, high = np.percentile(array, (0.5, 99.5))
        solid = array > low + 0.02 * (high - low)
    pieces, count = ndimage.label(ndimage.binary_opening(solid, iterations=2))
    if count == 0:
        return np.ones(array.shape, np.bool_)
    largest = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    return np.asarray(ndimage.binary_fill_holes(largest), np.bool_)


def without_strays(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask (row, column) without the pieces that are far smaller than its largest piece."""
    pieces, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray((sizes >= STRAY_SHARE * max(sizes.max(), 1))[pieces], np.bool_)


def passed_on(
    reading: Reading, picture: NDArray[np.float32], kind: Kind, unreliable: Sequence[str] = ()
) -> tuple[list[Checked], list[str]]:
    """What of a reading reaches a report: nothing of names that the weights were measured not to find, and only what passes the check.

    Args:
        reading: of ``picture`` (row, column) in the standard view.
        unreliable: names of :data:`~radiology.terms.TERMS` of which nothing is passed on.

    Returns:
        The sentences that may be stated, and one sentence for each that the check withholds.
    """
    # A sentence about something else may speak of such a name too.
    reliable = [each for each in reading.sentences if not (names_in(each.text) | {each.name}) & set(unreliable)]
    stated, withheld = check(reliable, body_of(picture, kind))
    if kind == "ct":  # one slice does not speak for a whole structure; ai_engine.slices.join asks of all of them together
        return stated, withheld
    there = [each.sentence for each in stated if each.is_abnormal]
    not_denied = [each for each in reliable if each.doubted and each.presence is Presence.ABSENT]
    return [replace(each, flags=(*each.flags, *normality_flags(each.sentence, there, not_denied))) for each in stated], withheld


def check(sentences: Sequence[ReadSentence], body: NDArray[np.bool_]) -> tuple[list[Checked], list[str]]:
    """Check what was said of one picture.

    Args:
        sentences: the answer's sentences; masks and boxes in the pixels of the picture.
        body: where the body is (row, column).

    Returns:
        The sentences that may be stated, and one sentence for each that is withheld.
    """
    stated, withheld = [], []
    sides = _Sides(sentences, body)
    for sentence in sentences:
        checked, why_no_place = _check_places(sentence, body, sides)
        if checked.is_abnormal and not checked.sentence.places:
            withheld.append(f'Withheld, because {why_no_place}: "{sentence.text}"')
        elif sentence.doubted:
            withheld.append(f'Withheld, because the model doubts it when asked again: "{sentence.text}"')
        else:
            stated.append(checked)
    return _without_contradictions(stated, withheld)


def normality_flags(structure: ReadSentence, there: Sequence[ReadSentence], not_denied: Sequence[ReadSentence] = ()) -> list[str]:
    """Say where a structure is called normal or abnormal, and what is said of the findings in it says otherwise.

    Args:
        structure: any sentence; there is nothing to say of one about something else.
        there: findings that are stated.
        not_denied: denials that the model doubts.
    """
    normal = calls_normal(structure)
    if normal is None:
        return []

    def in_it(sentences: Sequence[ReadSentence]) -> str:
        names = (each.name for each in sentences if each.name in WITHIN[structure.name] and share_side(each, structure))
        return " or ".join(dict.fromkeys(names))

    if not normal:
        return [] if in_it(there) else ["It is called abnormal, but no finding is stated in it."]
    flags = [f"It is called normal, but {in_it(there)} is stated in it."] if in_it(there) else []
    possible = in_it(not_denied)
    return [*flags, f"It is called normal, but the model, asked again, does not rule out {possible}."] if possible else flags


def calls_normal(sentence: ReadSentence) -> bool | None:
    """Return whether a sentence calls its structure normal or abnormal; None where it says neither, or no finding in it is known."""
    if sentence.name not in WITHIN:
        return None
    if _ABNORMAL.search(sentence.text):
        return False
    return True if _NORMAL.search(sentence.text) else None


def _check_places(sentence: ReadSentence, body: NDArray[np.bool_], sides: _Sides) -> tuple[Checked, str]:
    """Return the sentence with the places that may be right, and why there is none of them if there is none."""
    tidied = (
        replace(each, mask=replace(each.mask, pixels=without_strays(each.mask.pixels))) if each.mask else each for each in sentence.places
    )
    places = tuple(place for place in tidied if _may_be_right(place, body))
    why = (
        "no place that was marked for it can be right (empty, or outside the body)"
        if sentence.places
        else "the answer marks no place for it"
    )
    flags = []
    if sentence.presence is not Presence.ABSENT:
        if places and _is_finding(sentence.name):
            why = "the marked place is not clearly on the side of the patient that the words name"
            places = tuple(place for place in places if sides.agree(place, sentence))
        if sentence.name and not places:
            flags.append(f"No place is marked for it: {why}.")
        flags += sides.flags(sentence, places)
        flags += [flag for place in places for flag in _place_flags(sentence.name, place, body)]
    return Checked(replace(sentence, places=places), tuple(dict.fromkeys(flags))), why


def _is_finding(name: str) -> bool:
    return name in TERMS and TERMS[name].kind != "structure"


def _may_be_right(place: Place, body: NDArray[np.bool_]) -> bool:
    pixels = pixels_of(place, body.shape)
    size = int(np.count_nonzero(pixels))
    return size >= SPECK_PIXELS and int(np.count_nonzero(pixels & ~body)) <= OUTSIDE_SHARE * size


class _Sides:
    """On which side of the patient places are: in which lung, as the same answer drew them, else of which half of the body."""

    def __init__(self, sentences: Sequence[ReadSentence], body: NDArray[np.bool_]) -> None:
        self._shape = body.shape
        self._middle = round(float(np.nonzero(body)[1].mean()))
        self._lungs: dict[Side, NDArray[np.bool_]] = {}
        for place in (place for sentence in sentences if sentence.name == "lung" for place in sentence.places):
            if place.side in _OTHER_SIDE and place.mask and place.mask.pixels.any() and self._half(place.mask.pixels) is place.side:
                self._lungs[place.side] = place.mask.pixels

    def agree(self, place: Place, sentence: ReadSentence) -> bool:
        """Whether a place is clearly on the side that the words say, or they say none or both."""
        said = place.side or sentence.side
        return said not in _OTHER_SIDE or self._of(place) is said

    def contradict(self, place: Place, sentence: ReadSentence) -> bool:
        """Whether a place is clearly on the other side than the words say."""
        said = place.side or sentence.side
        return said in _OTHER_SIDE and self._of(place) is _OTHER_SIDE[said]

    def flags(self, sentence: ReadSentence, places: Sequence[Place]) -> list[str]:
        """Say where the stated sides and the places differ."""
        flags = []
        for place in places:
            if self.contradict(place, sentence):
                flags.append(f"The words say {place.side or sentence.side}, but a marked place is on the patient's {self._of(place)}.")
        seen = {self._of(place) for place in places}
        if sentence.side is Side.BILATERAL and len(seen) == 1 and None not in seen:
            flags.append(f"The words say both sides, but only the patient's {seen.pop()} is marked.")
        return flags

    def _of(self, place: Place) -> Side | None:
        pixels = pixels_of(place, self._shape)
        if len(self._lungs) == 2:
            right, left = (pixels & self._lungs[side] for side in (Side.RIGHT, Side.LEFT))
            if right.any() or left.any():
                return _clear(right, left)
        return self._half(pixels)

    def _half(self, pixels: NDArray[np.bool_]) -> Side | None:
        """Return the half of the body that ``pixels`` are in, None across its middle; columns grow towards the patient's left."""
        return _clear(pixels[:, : self._middle], pixels[:, self._middle :])


def _clear(right: NDArray[np.bool_], left: NDArray[np.bool_]) -> Side | None:
    """The side that has nearly all of what is on either."""
    counts = {Side.RIGHT: int(np.count_nonzero(right)), Side.LEFT: int(np.count_nonzero(left))}
    side = max(counts, key=counts.__getitem__)
    return side if counts[side] and counts[side] >= CLEAR_SHARE * sum(counts.values()) else None


def _place_flags(name: str, place: Place, body: NDArray[np.bool_]) -> list[str]:
    if place.mask is None:
        return []
    flags = []
    if place.box is not None:
        top, left, bottom, right = place.box
        overlap = Box.around(place.mask.pixels[None]).iou(Box((0, top, left), (1, bottom, right)))
        if overlap < BOX_IOU:
            flags.append(f"The box that was reasoned with and the mask disagree (overlap {overlap:.0%}).")
    share = np.count_nonzero(place.mask.pixels) / np.count_nonzero(body)
    if share > LARGEST_SHARE.get(name, LARGEST_SHARE_OF_ANY):
        flags.append(f"The marked place is too large for a {name} ({share:.0%} of the body in the image).")
    return flags


def _without_contradictions(stated: Sequence[Checked], withheld: list[str]) -> tuple[list[Checked], list[str]]:
    kept = []
    for each in stated:
        against = [other for other in stated if contradict(each.sentence, other.sentence)]
        if each.sentence.presence is Presence.ABSENT and any(other.is_abnormal for other in against):
            withheld = [*withheld, f'Withheld, because the answer also states the finding: "{each.sentence.text}"']
        elif each.is_abnormal and any(other.sentence.presence is Presence.ABSENT for other in against):
            kept.append(replace(each, flags=(*each.flags, "The answer also denies it.")))
        else:
            kept.append(each)
    return kept, withheld


def contradict(one: ReadSentence, other: ReadSentence) -> bool:
    """Return whether two sentences are about the same name and may be about the same side."""
    return bool(one.name) and one.name == other.name and share_side(one, other)


def share_side(one: ReadSentence, other: ReadSentence) -> bool:
    """Return whether two sentences may be about the same side; no side, or both, meets either side."""
    either = (None, Side.BILATERAL)
    return one.side == other.side or one.side in either or other.side in either


def pixels_of(place: Place, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the mask of a place, or the filled box where it has no mask."""
    if place.mask is not None:
        return place.mask.pixels
    filled = np.zeros(shape, np.bool_)
    if place.box is not None:
        top, left, bottom, right = place.box
        filled[top:bottom, left:right] = True
    return filled
