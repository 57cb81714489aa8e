"""The engine: a study's images in, one checked report out. It knows the model and the checks; no archive, no queue, no DICOM writing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ai_engine.consistency import Checked, passed_on, without_strays
from ai_engine.model.assistant import Assistant
from ai_engine.model.images import Kind
from ai_engine.model.reading import Mask, Place, Reading
from ai_engine.orientation import Turn, turn_of_projection, turn_of_volume
from ai_engine.slices import Statement, join, key_slices
from radiology.errors import EngineError, UnreadableAnswer, UnsupportedImage
from radiology.finding import Box, Finding, Region
from radiology.image import Image, Projection, Volume
from radiology.measuring import measured
from radiology.report import ModelIdentity, Report
from radiology.settings import EngineSettings
from radiology.study import Study
from radiology.summary import summarise

WEIGHTS = Path(__file__).parent / "weights" / "small"
"""The weights that come with Sightline."""


class Reader(Protocol):
    """What the engine needs of a model: :class:`~ai_engine.model.assistant.Assistant` has it."""

    def read(self, array: NDArray[np.float32], kind: Kind, spacing_mm: tuple[float, float] | None = None, indication: str = "") -> Reading:
        """Read one picture (row, column) in the standard view."""

    def read_many(
        self, arrays: Sequence[NDArray[np.float32]], kind: Kind, spacing_mm: tuple[float, float] | None = None, indication: str = ""
    ) -> Sequence[Reading | UnreadableAnswer]:
        """Read pictures of one kind together; for each its reading, or why there is none."""

    def follow(
        self,
        key: NDArray[np.float32],
        slices: Iterable[NDArray[np.float32]],
        kind: Kind,
        seg_states: Sequence[Any],
        spacing_mm: tuple[float, float] | None = None,
    ) -> Iterator[Sequence[Mask]]:
        """Carry the masks of ``[SEG]`` states from the slice ``key`` into the slices beside it, one after the other."""


@dataclass(frozen=True)
class _Part:
    """What one image adds to the report."""

    findings: list[Finding]
    withheld: list[str]
    limits: list[str]


class Engine:
    """One loaded model, ready to read studies one after the other."""

    def __init__(self, reader: Reader, identity: ModelIdentity, maximum_key_slices: int, unreliable: Sequence[str] = ()) -> None:
        """``unreliable``: names of findings of which nothing is passed on, neither that they are there nor that they are not."""
        self.identity = identity
        self._reader = reader
        self._maximum_key_slices = maximum_key_slices
        self._unreliable = tuple(unreliable)

    @classmethod
    def load(cls, settings: EngineSettings) -> Self:
        """Load the weights that the settings name. Raises :class:`EngineError` where they are missing or do not fit."""
        folder = settings.weights or WEIGHTS
        if not folder.is_dir():
            raise EngineError(f"There are no weights in {folder}; set SIGHTLINE_ENGINE__WEIGHTS to a folder that has some.")
        assistant = Assistant.load(folder, settings.device, settings.threads, settings.maximum_new_tokens, settings.encoders)
        identity = ModelIdentity(
            name=assistant.config.name,
            version=version("sightline"),
            weights_hash=assistant.weights_hash,
            configuration=f"key_slices={settings.maximum_key_slices} new_tokens={settings.maximum_new_tokens} encoders={settings.encoders}"
            f" withheld={','.join(assistant.config.unreliable)}",
        )
        return cls(assistant, identity, settings.maximum_key_slices, assistant.config.unreliable)

    def read(self, study: Study, images: Sequence[Image], started: datetime | None = None) -> Report:
        """Read a study.

        Each frontal radiograph is read whole, each axial CT by key slices. The impression is put together from the findings
        that passed the check, so that nothing withheld comes back in a summary; it ends with what was not read.

        Args:
            study: the headers.
            images: its images, decoded; series of the study that are not among them are named as not read.
            started: when the reading began; now, if left out.

        Raises:
            UnsupportedImage: no image of the study is of a kind and view that the model reads.
            UnreadableAnswer: the model's answer has no readable form, for a radiograph or for most slices of a volume.
        """
        started = started or datetime.now(UTC)
        parts: list[_Part] = []
        read_uids: set[str] = set()
        refused: list[UnsupportedImage] = []
        for image in images:
            series = study.find_series(image.series_uid)
            try:
                if isinstance(image, Volume):
                    parts.append(self._read_volume(image, series.modality, study.indication))
                    read_uids.update(series.instance_uids)
                else:
                    header = series.frames[image.slice_index].header
                    parts.append(self._read_projection(image, turn_of_projection(image, header), study.indication))
                    read_uids.add(str(header.SOPInstanceUID))
            except UnsupportedImage as error:
                refused.append(error)
        if not parts:
            raise refused[0] if refused else UnsupportedImage(f"Study {study.study_uid} has no image that the model reads.")
        limits = [limit for part in parts for limit in part.limits]
        not_read = sum(len(series.instances) for series in study.series) - len(read_uids)
        if not_read:
            limits.append(f"{not_read} further image{'s' * (not_read > 1)} of the study {'were' if not_read > 1 else 'was'} not read.")
        findings = measured([finding for part in parts for finding in part.findings], images)
        withheld = tuple(dict.fromkeys(sentence for part in parts for sentence in part.withheld))
        if self._unreliable:
            names = " or ".join(self._unreliable)
            withheld += (f'Nothing is said of {names}, and "clear" does not exclude them: these weights were measured not to find them.',)
        return Report(
            study_uid=study.study_uid,
            findings=findings,
            impression=" ".join([summarise(findings), *limits]),
            model=self.identity,
            started=started,
            instance_uids=tuple(sorted(read_uids)),
            withheld=withheld,
            failures=tuple(str(error) for error in refused),
        )

    def _read_projection(self, image: Projection, turn: Turn, indication: str) -> _Part:
        picture = turn.apply(image.array)
        reading = self._reader.read(picture, "projection", image.spacing_mm, indication)
        stated, withheld = passed_on(reading, picture, "projection", self._unreliable)
        return _Part([_finding_on_projection(checked, image, turn) for checked in stated], withheld, [])

    def _read_volume(self, volume: Volume, modality: str, indication: str) -> _Part:
        if modality != "CT":
            raise UnsupportedImage(f"Series {volume.series_uid} is {modality}; of cross-sectional images only CT is read.")
        turn = turn_of_volume(volume)
        spacing_mm = volume.spacing_mm[1:]
        keys = key_slices(volume.array, self._maximum_key_slices)
        said: dict[int, list[Checked]] = {}
        withheld: list[str] = []
        unreadable: list[UnreadableAnswer] = []
        pictures = [turn.apply(volume.array[key]) for key in keys]
        for key, picture, reading in zip(keys, pictures, self._reader.read_many(pictures, "ct", spacing_mm, indication), strict=True):
            if isinstance(reading, UnreadableAnswer):
                unreadable.append(reading)
                continue
            said[key], kept_back = passed_on(reading, picture, "ct", self._unreliable)
            withheld += kept_back
        if len(unreadable) * 2 > len(keys):
            raise unreadable[0]

        def follow(key: int, states: Sequence[Any], path: Sequence[int]) -> Iterator[Sequence[NDArray[np.bool_]]]:
            pictures = (turn.apply(volume.array[index]) for index in path)
            for masks in self._reader.follow(turn.apply(volume.array[key]), pictures, "ct", states, spacing_mm):
                yield [without_strays(mask.pixels) for mask in masks]

        statements = join(said, len(volume.array), follow)
        numbers = ", ".join(str(key + 1) for key in said)
        limit = f"{len(said)} of {len(volume.array)} slices were read (slices {numbers} along the series); elsewhere masks are inferred."
        return _Part([_finding_in_volume(statement, volume, turn) for statement in statements], withheld, [limit])


def _finding_on_projection(checked: Checked, image: Projection, turn: Turn) -> Finding:
    sentence = checked.sentence
    return Finding(
        name=sentence.name,
        sentence=sentence.text,
        presence=sentence.presence,
        side=sentence.side,
        confidence=sentence.confidence,
        regions=tuple(region for place in sentence.places if (region := _region_on_projection(place, image, turn))),
        flags=checked.flags,
    )


def _region_on_projection(place: Place, image: Projection, turn: Turn) -> Region | None:
    if place.mask is not None:
        return Region.from_mask(image.series_uid, turn.apply(place.mask.pixels)[None], place.mask.score, image.slice_index)
    if place.box is not None:
        return _box_region(image.series_uid, image.slice_index, place.box, image.array.shape, turn)
    return None


def _finding_in_volume(statement: Statement, volume: Volume, turn: Turn) -> Finding:
    sentence = statement.words
    if statement.masks:
        first, last = min(statement.masks), max(statement.masks)
        block = np.zeros((last + 1 - first, *volume.array.shape[1:]), np.bool_)
        for index, mask in statement.masks.items():
            block[index - first] = turn.apply(mask)
        region = Region.from_mask(volume.series_uid, block, statement.score, first)
        shown = range(region.box.start[0], region.box.stop[0])
        read = tuple(index for index in statement.read if index in shown)
        regions: tuple[Region, ...] = (replace(region, read_slices=() if len(read) == len(shown) else read),)
    else:
        shape = volume.array.shape[1:]
        regions = tuple(_box_region(volume.series_uid, index, box, shape, turn) for index, box in statement.boxes.items())
    return Finding(sentence.name, sentence.text, sentence.presence, sentence.side, statement.confidence, regions, statement.flags)


def _box_region(series_uid: str, index: int, box: tuple[int, int, int, int], shape: tuple[int, int], turn: Turn) -> Region:
    top, left, bottom, right = turn.apply_to_box(box, shape)
    return Region(series_uid, Box((index, top, left), (index + 1, bottom, right)))
