"""What of collected data may train anything: a reason code for everything that is left out (Citrus-V 3.1.2).

Thresholds that the paper leaves open are those of the specification (A3 to A6). Personal data is looked for last: de-identification
comes before this filter, and what it overlooked is dropped here.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from ai_engine.model.language import Language

LEAST_PIXELS = 64 * 64
"""Area of the smallest frame (A3: "4096 pixels" taken as width times height)."""
TOKENS = (10, 1024)
"""Fewest and most tokens of a response, counted by the model's own tokenizer."""
ORIENTATION_TOLERANCE = 1e-3
UNEVEN_SHARE, UNEVEN_MM = 0.01, 0.05
"""How far the gap between two slices may be from the median gap: the larger of the two."""


class Reason(StrEnum):
    """Why something is left out."""

    IMG_SMALL = "IMG_SMALL"
    TXT_SHORT = "TXT_SHORT"
    TXT_LONG = "TXT_LONG"
    DIM = "DIM"
    """Slices differ in rows, columns or pixel spacing."""
    ORIENT = "ORIENT"
    """Slices differ in orientation, its axes are not at right angles, or it contradicts the patient's position."""
    SPACING = "SPACING"
    """A slice is missing, doubled or out of its place."""
    PHI = "PHI"
    """Personal data."""
    DUP_TEXT = "DUP_TEXT"
    DUP_PAIR = "DUP_PAIR"
    """The same text with the same image was there before."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One collected sample.

    Attributes:
        response: what a model would learn to say.
        instruction: what it would be asked; empty for captions and reports.
        frames: its images, each an array whose first two axes are rows and columns; none for pure text.
        source: the header that it came with, if any: its personal values must not be in the text.
    """

    response: str
    instruction: str = ""
    frames: tuple[NDArray[Any], ...] = ()
    source: Dataset | None = None


class QualityFilter:
    """Goes through samples one by one and remembers what it has seen.

    Attributes:
        dropped: how many samples each reason took.
    """

    def __init__(self, language: Language) -> None:
        self.language = language
        self.dropped: Counter[Reason] = Counter()
        self._seen: set[str] = set()

    def reason(self, sample: Sample) -> Reason | None:
        """Why ``sample`` is left out; None where it is kept."""
        found = self._reason(sample)
        if found is None:
            self._seen.add(fingerprint(sample))
        else:
            self.dropped[found] += 1
        return found

    def _reason(self, sample: Sample) -> Reason | None:
        if any(frame.shape[0] * frame.shape[1] < LEAST_PIXELS for frame in sample.frames):
            return Reason.IMG_SMALL
        fewest, most = TOKENS
        tokens = len(self.language.encode(sample.response))
        if tokens < fewest:
            return Reason.TXT_SHORT
        if tokens > most:
            return Reason.TXT_LONG
        if names_a_person(f"{sample.instruction}\n{sample.response}", sample.source):
            return Reason.PHI
        if fingerprint(sample) in self._seen:
            return Reason.DUP_PAIR if sample.frames else Reason.DUP_TEXT
        return None


def fingerprint(sample: Sample) -> str:
    """The hash of a sample's text, with that of each image behind it: two samples are the same where this is."""
    return "-".join([text_hash(f"{sample.instruction}\n{sample.response}"), *map(image_hash, sample.frames)])


def text_hash(text: str) -> str:
    """SHA-256 of the text in Unicode's form KC, in lower case, with single spaces."""
    return hashlib.sha256(" ".join(unicodedata.normalize("NFKC", text).lower().split()).encode()).hexdigest()


def image_hash(pixels: NDArray[Any]) -> str:
    """SHA-256 of decoded pixels with their shape and type: the same image in another file format hashes the same."""
    whole = hashlib.sha256(f"{pixels.shape}{pixels.dtype}".encode())
    whole.update(np.ascontiguousarray(pixels).tobytes())
    return whole.hexdigest()


def series_reason(headers: Sequence[Dataset]) -> Reason | None:
    """Why a cross-sectional series cannot be a volume; None where it can.

    Args:
        headers: one for each slice, in any order, with Rows, Columns, PixelSpacing, ImageOrientationPatient and ImagePositionPatient.
    """
    sizes = {(int(each.Rows), int(each.Columns), *map(float, each.PixelSpacing)) for each in headers}
    if len(sizes) != 1:
        return Reason.DIM
    orientations = np.asarray([each.ImageOrientationPatient for each in headers], float).reshape(-1, 2, 3)
    if not _is_one_orientation(orientations) or any(_contradicts_position(each) for each in headers):
        return Reason.ORIENT
    normal = np.cross(*orientations[0])
    places = np.sort([float(np.dot(np.asarray(each.ImagePositionPatient, float), normal)) for each in headers])
    gaps = np.diff(places)
    if len(gaps):
        usual = float(np.median(gaps))
        if usual <= 0 or np.abs(gaps - usual).max() > max(UNEVEN_MM, UNEVEN_SHARE * usual):
            return Reason.SPACING
    return None


def _is_one_orientation(orientations: NDArray[np.float64]) -> bool:
    first = orientations[0]
    same = np.abs(orientations - first).max() <= ORIENTATION_TOLERANCE
    return bool(same and np.abs(first @ first.T - np.eye(2)).max() <= ORIENTATION_TOLERANCE)


_SIGNS = {"HFS": (1, 1), "HFP": (-1, -1), "FFS": (-1, 1), "FFP": (1, -1)}
"""Signs of the row's x and the column's y as the gantry sees a lying patient (PS3.3 C.7.3.1.1.2); (1, 1) is the reader's view."""


def _contradicts_position(header: Dataset) -> bool:
    """Whether an axial slice is neither as the gantry sees it nor as it is read: left and right, or front and back, are swapped."""
    row, column = np.asarray(header.ImageOrientationPatient, float).reshape(2, 3)
    if min(abs(row[0]), abs(column[1])) < 0.7 or header.get("PatientPosition") not in _SIGNS:
        return False
    return (int(np.sign(row[0])), int(np.sign(column[1]))) not in ((1, 1), _SIGNS[header.PatientPosition])


_PERSONAL = re.compile(
    r"\b\d{4}-\d{2}-\d{2}\b|\b\d{1,2}[./]\d{1,2}[./](?:\d{4}|\d{2})\b|\b(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\b"
    r"|[\w.+-]+@[\w-]+\.\w+|\b(?:MRN|patient id|accession(?: number)?|DOB|date of birth|phone|tel)\b\s*[:#.]?\s*\S*\d"
    r"|\b(?:Dr|Mr|Mrs|Ms|Prof)\.?\s+[A-Z][a-z]+|\b\d+(?:\.\d+){5,}\b"
)
"""Dates, addresses, numbers that stand for a person, titles with names, and UIDs."""
_PERSONAL_KEYWORDS = ("PatientID", "OtherPatientIDs", "AccessionNumber", "InstitutionName", "PatientAddress", "PatientTelephoneNumbers")
_LEAST_LETTERS = 3


def names_a_person(text: str, source: Dataset | None = None) -> bool:
    """Whether a text holds a date, a name, an identifier or a UID: by its form, or because ``source`` has it."""
    if _PERSONAL.search(text):
        return True
    words = f" {_folded(text)} "
    return source is not None and any(f" {_folded(value)} " in words for value in personal_values(source))


def _folded(text: str) -> str:
    """Words and numbers in lower case with single spaces between them."""
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).lower()))


def personal_values(source: Dataset) -> frozenset[str]:
    """Every name (part by part), identifier, UID and date of a header, dates in the usual spellings."""
    values: set[str] = set()
    for element in source.iterall():
        parts = [str(value) for value in (element.value if element.VM > 1 else [element.value])]
        if element.VR == "PN":
            values.update(name for part in parts for name in re.split(r"[\^=\s]+", part))
        elif element.VR == "DA":
            values.update(spelling for part in parts for spelling in _spellings(part))
        elif element.VR == "UI" or element.keyword in _PERSONAL_KEYWORDS:
            values.update(parts)
    return frozenset(value for value in values if len(value) >= _LEAST_LETTERS)


def _spellings(date: str) -> Iterable[str]:
    year, month, day = date[:4], date[4:6], date[6:8]
    return date, f"{year}-{month}-{day}", f"{day}.{month}.{year}", f"{month}/{day}/{year}", f"{day}/{month}/{year}"
