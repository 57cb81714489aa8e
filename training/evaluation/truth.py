"""What an image is known to show: from a folder of radiographs with masks, or from our own scenes.

A folder of radiographs has ``manifest.json``, at times ``negatives.json`` (radiographs without any finding), ``images/ID.png`` and
``masks/FILE``. An entry of either list::

    {"id": ..., "patient": ..., "view": "PA", "sex": "F", "age": "61", "report": ...,
     "masks": {"left_lung": FILE, "consolidation": FILE, ...}}

Only ``id`` must be there. A structure without a mask is not scored on that image. A finding without a mask is taken as absent where the
entry has any mask, else as unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from ai_engine.model.images import Kind, Letterbox
from radiology.finding import Side
from radiology.terms import TERMS
from training.data.cases import Cases, Split
from training.data.manifest import ManifestError, read_manifest
from training.data.reports import answer
from training.evaluation.overlap import Mask, box_of
from training.parts import name_of

FILM_NAMES = {
    "right_lung": "right lung",
    "left_lung": "left lung",
    "cardiomediastinum": "mediastinum",
    "pleural_effusion": "pleural effusion",
    "pneumothorax": "pneumothorax",
    "consolidation": "consolidation",
    "ground_glass_opacity": "ground glass opacity",
    "endotracheal_tube": "endotracheal tube",
    "central_venous_line": "central venous catheter",
    "nasogastric_tube": "nasogastric tube",
}
"""Names of the films' masks in the words of :data:`radiology.terms.TERMS`."""
FILM_DEVICES = frozenset({"endotracheal_tube", "central_venous_line", "nasogastric_tube", "monitoring_probe", "tubing"})
SPILL = 0.005
"""A piece of a finding smaller than this share of the lung that it lies in is an annotator's spill over the edge, not a finding there."""
SIDES = (Side.RIGHT, Side.LEFT)
Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class Truth:
    """One image and what is known of it.

    Attributes:
        name: of the image.
        patient: whom it shows; intervals and splits go by patient.
        image: (row, column), in the standard view: the patient's right on the left.
        kind: of image.
        masks: by label, a name of :data:`radiology.terms.TERMS` with its side before it where the annotation has one.
        judged: names of findings and devices of which it is known whether they are there.
        normal: whether it is known to show no finding at all.
        groups: what it is counted under ("view" -> "PA").
        report: sentences of a reference report; empty where there is none.
    """

    name: str
    patient: str
    image: NDArray[np.float32]
    kind: Kind
    masks: Mapping[str, Mask]
    judged: frozenset[str]
    normal: bool = False
    groups: Mapping[str, str] = field(default_factory=dict)
    report: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.image.shape[0], self.image.shape[1]

    def shows(self, names: Collection[str]) -> bool | None:
        """Whether one of ``names`` is there; None where that is not known."""
        if any(name_of(label) in names and mask.any() for label, mask in self.masks.items()):
            return True
        return False if self.judged >= set(names) else None

    def where(self, names: Collection[str], side: Side | None = None) -> Mask:
        """The pixels of ``names``, on one side or altogether; all false where there are none.

        A mask that names no side is cut along that side's lung, and what is then smaller than :data:`SPILL` of the lung left out.
        """
        there = np.zeros(self.shape, np.bool_)
        for label, mask in self.masks.items():
            if name_of(label) in names and label != name_of(label):
                there |= mask if side is None or label.startswith(side) else False
            elif label in names:
                there |= mask if side is None else self._cut(mask, side)
        return there

    def _cut(self, mask: Mask, side: Side) -> Mask:
        within = self.masks.get(f"{side} lung")
        if within is None:
            within = self.half(side)
        pieces, _ = ndimage.label(mask & within, structure=np.ones((3, 3)))
        large = np.bincount(pieces.ravel()) >= SPILL * within.sum()
        large[0] = False
        return np.asarray(large[pieces], np.bool_)

    @property
    def middle(self) -> float:
        """The column half way between the true lungs' centres; of the image, where they are not both known."""
        lungs = [self.masks.get(f"{side} lung") for side in SIDES]
        centres = [float(np.nonzero(lung)[1].mean()) for lung in lungs if lung is not None and lung.any()]
        return sum(centres) / 2 if len(centres) == 2 else self.shape[1] / 2

    def half(self, side: Side) -> Mask:
        """The half of the image that is the patient's ``side``."""
        left = np.arange(self.shape[1]) + 0.5 >= self.middle
        return np.broadcast_to(left if side is Side.LEFT else ~left, self.shape)

    def side_of(self, pixels: Mask) -> Side:
        """The side on which a place lies: in which true lung more of it is, else on which half."""
        within = [int((pixels & self.masks.get(f"{side} lung", np.False_)).sum()) for side in SIDES]
        if within[0] == within[1]:
            within = [int((pixels & self.half(side)).sum()) for side in SIDES]
        return SIDES[0] if within[0] >= within[1] else SIDES[1]


class Truths(Sequence[Truth]):
    """Images with their truth, read from disk when they are asked for."""

    def __init__(self, loaders: Sequence[Callable[[], Truth]]) -> None:
        self._loaders = loaders

    def __len__(self) -> int:
        return len(self._loaders)

    @overload
    def __getitem__(self, index: int) -> Truth: ...
    @overload
    def __getitem__(self, index: slice) -> Truths: ...
    def __getitem__(self, index: int | slice) -> Truth | Truths:
        """Read one, or choose some."""
        return Truths(self._loaders[index]) if isinstance(index, slice) else self._loaders[index]()

    def some(self, limit: int) -> Truths:
        """At most ``limit`` of them, evenly spread."""
        return Truths(chosen(self._loaders, limit))


def read_truths(folder: Path, limit: int | None = None, patients: Collection[str] | None = None) -> Truths:
    """Open a folder: radiographs with masks, or cases of :mod:`training.data.cases` (then the patient that training never saw).

    Args:
        folder: holds ``manifest.json``.
        limit: at most so many images, evenly chosen; those without findings are chosen by themselves.
        patients: only their radiographs.

    Raises:
        ManifestError: the folder is not laid out like that, images are missing, or nothing is left to read.
    """
    manifest = read_manifest(folder / "manifest.json")
    if isinstance(manifest, dict):
        if patients is not None:
            raise ManifestError(f"{folder} holds cases, whose split is in their manifest: patients can be chosen of radiographs only.")
        truths = scenes(folder, "held_out_patient", limit)
    else:
        negatives = folder / "negatives.json"
        lists = ((False, manifest), (True, read_manifest(negatives) if negatives.exists() else []))
        if not all(isinstance(entries, list) for _, entries in lists):
            raise ManifestError(f"The lists of {folder} are no lists; docs/evaluation.md says how the folder is laid out.")
        _check(folder, [entry for _, entries in lists for entry in entries])
        loaders = []
        for normal, entries in lists:
            wanted = [entry for entry in entries if patients is None or _patient(entry) in patients]
            loaders += [partial(_film, folder, entry, normal) for entry in chosen(wanted, limit)]
        truths = Truths(loaders)
    if not len(truths):
        raise ManifestError(f"Nothing is left of {folder}; see its manifest.json" + (", and the patients asked for." if patients else "."))
    return truths


def _check(folder: Path, entries: Sequence[Any]) -> None:
    nameless = sum(not isinstance(entry, dict) or "id" not in entry for entry in entries)
    if nameless:
        raise ManifestError(f"{nameless} entries of the lists in {folder} have no id; docs/evaluation.md says how the folder is laid out.")
    if any(entry.get("state") == "draft" for entry in entries):
        raise ManifestError(f"{folder} holds drafts that a model wrote; a radiologist has to look at them before they count as truth.")
    lacking = [path.name for entry in entries if not (path := _image(folder, entry)).is_file()]
    if lacking:
        some = ", ".join(lacking[:5])
        raise ManifestError(f"{len(lacking)} images are missing in {folder / 'images'} ({some}); add them, or take them out of the list.")


def _image(folder: Path, entry: Mapping[str, Any]) -> Path:
    return folder / "images" / f"{entry['id']}.png"


def chosen(all_of: Sequence[Item], limit: int | None) -> list[Item]:
    """At most ``limit`` of a sequence, evenly spread."""
    count = len(all_of) if limit is None else min(limit, len(all_of))
    return [all_of[index * len(all_of) // count] for index in range(count)]


def scenes(folder: Path, split: Split, limit: int | None = None, *further: Path) -> Truths:
    """The scenes of a split of our own cases, in one folder or several; their reference reports are written from their facts."""
    cases = Cases(folder, split, *further)
    return Truths([partial(_scene, cases, index) for index in chosen(range(len(cases)), limit)])


def _scene(cases: Cases, index: int) -> Truth:
    case = cases[index]
    letterbox = Letterbox.fit((case.image.shape[0], case.image.shape[1]), 2 * max(case.image.shape))
    boxes = {label: letterbox.box_to_model(box) for label, mask in case.masks.items() if (box := box_of(mask))}
    text, _ = answer(case, boxes, np.random.default_rng(0))
    judged = {name for name, term in TERMS.items() if term.kind == "finding" or (term.kind == "device" and case.kind == "projection")}
    if not {"heart", "cardiomegaly"} & set(case.masks):
        judged.discard("cardiomegaly")
    judged -= case.unjudged
    unknown = any(TERMS[name].kind == "finding" for name in case.unjudged)
    return Truth(
        name=case.name,
        patient=case.patient,
        image=case.image.astype(np.float32),
        kind=case.kind,
        masks=case.masks,
        judged=frozenset(judged),
        normal=not unknown and not any(TERMS[name_of(label)].kind == "finding" for label in case.masks),
        groups={"kind": case.kind} | ({"looks like fluid": ", ".join(sorted(case.mimics))} if case.mimics else {}),
        report=sentences_in(text),
    )


def sentences_in(text: str) -> tuple[str, ...]:
    """The sentences of an answer's findings, or of a plain report, without marks."""
    findings = re.search(r"FINDINGS:(.*?)(?:IMPRESSION:|$)", text, re.DOTALL)
    words = re.sub(r"\s*\[SEG\]", "", findings[1] if findings else text)
    return tuple(sentence.strip() for sentence in re.split(r"(?<=\.)\s+", words) if sentence.strip())


def _film(folder: Path, entry: Mapping[str, Any], normal: bool) -> Truth:
    image = _grey(_image(folder, entry))
    files = {name: folder / "masks" / file for name, file in (entry.get("masks") or {}).items()}
    there = {name: path for name, path in files.items() if path.exists()}
    judged = {name for name in FILM_NAMES.values() if name in TERMS and TERMS[name].kind != "structure"} if files else set()
    if normal:
        judged |= {name for name, term in TERMS.items() if term.kind == "finding"}
    judged -= {FILM_NAMES[name] for name in files.keys() - there.keys() if name in FILM_NAMES}
    return Truth(
        name=str(entry["id"]),
        patient=_patient(entry),
        image=np.asarray(image, np.float32),
        kind="projection",
        masks={FILM_NAMES[name]: _mask(path, image.size) for name, path in there.items() if name_of(FILM_NAMES.get(name, "")) in TERMS},
        judged=frozenset(judged),
        normal=normal,
        groups=_groups(entry, files),
        report=sentences_in(str(entry.get("report") or "")),
    )


def _patient(entry: Mapping[str, Any]) -> str:
    return str(entry.get("patient") or entry["id"])


def _grey(path: Path) -> Image.Image:
    try:
        return Image.open(path).convert("L")
    except OSError as error:
        raise ManifestError(f"{path} cannot be read as an image ({error}); replace it, or take it out of the list.") from error


def _mask(path: Path, size: tuple[int, int]) -> Mask:
    image = _grey(path)
    return np.asarray(image if image.size == size else image.resize(size, Image.Resampling.NEAREST)) > 0


def _groups(entry: Mapping[str, Any], files: Mapping[str, Path]) -> dict[str, str]:
    groups = {name: str(entry.get(name) or "not stated") for name in ("view", "sex")}
    groups["age"] = _age_band(str(entry.get("age") or ""))
    if files:
        groups["device"] = "present" if FILM_DEVICES & files.keys() else "none"
    return groups


def _age_band(age: str) -> str:
    number = re.match(r"\d+", age)
    if number is None:
        return "not stated"
    years = int(number[0])
    return next(band for limit, band in ((40, "under 40"), (60, "40 to 59"), (80, "60 to 79"), (10**9, "80 and over")) if years < limit)
