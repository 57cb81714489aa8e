"""The engine: a study's images in; one checked report out, and what the model looked at for it.

It knows the model and the checks; no archive, no queue, no DICOM writing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ai_engine.consistency import Checked, passed_on, without_strays
from ai_engine.model.answer import Step, names_in
from ai_engine.model.assistant import TOGETHER, Assistant
from ai_engine.model.images import Kind
from ai_engine.model.reading import Mask, Place, Reading
from ai_engine.orientation import Turn, turn_of_projection, turn_of_volume
from ai_engine.slices import Statement, join, key_slices, stacked
from radiology.errors import EngineError, UnreadableAnswer, UnsupportedImage
from radiology.finding import Box, Finding, Region
from radiology.image import Image, Projection, Volume
from radiology.measuring import measured
from radiology.report import ModelIdentity, Report
from radiology.settings import EngineSettings
from radiology.study import Study
from radiology.summary import summarise
from radiology.thinking import Look

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


Tell = Callable[[float, str], None]
"""Hears how far a reading is: a share from 0 to 1, and what is being done."""
READ_SHARE = 0.6
"""Share of the work on a volume that is done when its key slices are read; then masks are followed."""


def load_assistant(settings: EngineSettings) -> Assistant:
    """Load the weights that the settings name. Raises :class:`EngineError` where they are missing or do not fit."""
    folder = settings.weights or WEIGHTS
    if not folder.is_dir():
        raise EngineError(f"There are no weights in {folder}; set SIGHTLINE_ENGINE__WEIGHTS to a folder that has some.")
    return Assistant.load(folder, settings.device, settings.threads, settings.maximum_new_tokens, settings.encoders)


@dataclass(frozen=True)
class Read:
    """What a reading gives: the report, and the steps by which the model came to it."""

    report: Report
    thinking: tuple[Look, ...]


@dataclass(frozen=True)
class _Part:
    """What one image adds to the report."""

    findings: list[Finding]
    withheld: list[str]
    limits: list[str]
    thinking: list[Look]


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
        return cls.of(load_assistant(settings), settings)

    @classmethod
    def of(cls, assistant: Assistant, settings: EngineSettings) -> Self:
        """Return an engine that reads with a loaded model, as the settings say."""
        certainty = assistant.config.presence
        identity = ModelIdentity(
            name=assistant.config.name,
            version=version("sightline"),
            weights_hash=assistant.weights_hash,
            configuration=f"key_slices={settings.maximum_key_slices} new_tokens={settings.maximum_new_tokens} encoders={settings.encoders}"
            f" withheld={','.join(assistant.config.unreliable)}"
            + (f" presence={','.join(f'{each:.4g}' for each in certainty.model_dump().values())}" if certainty else ""),
        )
        return cls(assistant, identity, settings.maximum_key_slices, assistant.config.unreliable)

    def read(self, study: Study, images: Sequence[Image], started: datetime | None = None, tell: Tell = lambda share, doing: None) -> Read:
        """Read a study.

        Each frontal radiograph is read whole, each axial CT by key slices. The impression is put together from the findings
        that passed the check, so that nothing withheld comes back in a summary; it ends with what was not read.

        Args:
            study: the headers.
            images: its images, decoded; series of the study that are not among them are named as not read.
            started: when the reading began; now, if left out.
            tell: is told how far it is.

        Raises:
            UnsupportedImage: no image of the study is of a kind and view that the model reads.
            UnreadableAnswer: the model's answer has no readable form, for a radiograph or for most slices of a volume.
        """
        started = started or datetime.now(UTC)
        parts: list[_Part] = []
        read_uids: set[str] = set()
        refused: list[UnsupportedImage] = []
        for number, image in enumerate(images):

            def tell_whole(share: float, doing: str, number: int = number) -> None:
                tell((number + share) / len(images), doing)

            series = study.find_series(image.series_uid)
            try:
                if isinstance(image, Volume):
                    parts.append(self._read_volume(image, series.modality, study.indication, tell_whole))
                    read_uids.update(series.instance_uids)
                else:
                    tell_whole(0, f"Image {number + 1} of {len(images)}")
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
        report = Report(
            study_uid=study.study_uid,
            findings=findings,
            impression=" ".join([summarise(findings), *limits]),
            model=self.identity,
            started=started,
            instance_uids=tuple(sorted(read_uids)),
            withheld=withheld,
            failures=tuple(str(error) for error in refused),
        )
        return Read(report, tuple(look for part in parts for look in part.thinking))

    def _read_projection(self, image: Projection, turn: Turn, indication: str) -> _Part:
        picture = turn.apply(image.array)
        reading = self._reader.read(picture, "projection", image.spacing_mm, indication)
        stated, withheld = passed_on(reading, picture, "projection", self._unreliable)
        thinking = self._looks(reading.steps, image.series_uid, image.slice_index, image.array.shape, turn)
        return _Part([_finding_on_projection(checked, image, turn) for checked in stated], withheld, [], thinking)

    def _read_volume(self, volume: Volume, modality: str, indication: str, tell: Tell) -> _Part:
        if modality != "CT":
            raise UnsupportedImage(f"Series {volume.series_uid} is {modality}; of cross-sectional images only CT is read.")
        turn = turn_of_volume(volume)
        spacing_mm = volume.spacing_mm[1:]
        keys = key_slices(volume.array, self._maximum_key_slices)
        said: dict[int, list[Checked]] = {}
        withheld: list[str] = []
        unreadable: list[UnreadableAnswer] = []
        thinking: list[Look] = []
        pictures = [turn.apply(volume.array[key]) for key in keys]
        readings: list[Reading | UnreadableAnswer] = []
        for first in range(0, len(keys), TOGETHER):
            tell(READ_SHARE * first / len(keys), f"Slice {first + 1} of {len(keys)}")
            readings += self._reader.read_many(pictures[first : first + TOGETHER], "ct", spacing_mm, indication)
        for key, picture, reading in zip(keys, pictures, readings, strict=True):
            if isinstance(reading, UnreadableAnswer):
                unreadable.append(reading)
                continue
            said[key], kept_back = passed_on(reading, picture, "ct", self._unreliable)
            withheld += kept_back
            thinking += self._looks(reading.steps, volume.series_uid, key, picture.shape, turn)
        if len(unreadable) * 2 > len(keys):
            raise unreadable[0]

        def follow(key: int, states: Sequence[Any], path: Sequence[int]) -> Iterator[Sequence[NDArray[np.bool_]]]:
            place = keys.index(key)
            tell(READ_SHARE + (1 - READ_SHARE) * place / len(keys), f"Masks around slice {place + 1} of {len(keys)}")
            pictures = (turn.apply(volume.array[index]) for index in path)
            for masks in self._reader.follow(turn.apply(volume.array[key]), pictures, "ct", states, spacing_mm):
                yield [without_strays(mask.pixels) for mask in masks]

        statements = join(said, len(volume.array), follow)
        numbers = ", ".join(str(key + 1) for key in said)
        limit = f"{len(said)} of {len(volume.array)} slices were read (slices {numbers} along the series); elsewhere masks are inferred."
        return _Part([_finding_in_volume(statement, volume, turn) for statement in statements], withheld, [limit], thinking)

    def _looks(self, steps: Sequence[Step], series_uid: str, index: int, shape: tuple[int, ...], turn: Turn) -> list[Look]:
        """Return the steps of one picture as places in its series: one for each part that was looked at, nothing of unreliable names."""
        looks = []
        for step in steps:
            said = "" if names_in(step.observation) & set(self._unreliable) else step.observation
            for part in step.parts or (None,):
                names = [step.structure, part.name] if part else [step.structure]
                if names_in(" ".join(names)) & set(self._unreliable):
                    continue
                words = ", ".join(dict.fromkeys(names)).capitalize()
                box = part.box if part else None
                place = _place(index, box, (shape[0], shape[1]), turn) if box else None
                looks.append(Look(f"{words}: {said}" if said else f"{words}.", series_uid, place))
        return looks


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
        masks = {index: turn.apply(mask) for index, mask in statement.masks.items()}
        regions: tuple[Region, ...] = (stacked(volume.series_uid, masks, statement.read, statement.score),)
    else:
        shape = volume.array.shape[1:]
        regions = tuple(_box_region(volume.series_uid, index, box, shape, turn) for index, box in statement.boxes.items())
    return Finding(sentence.name, sentence.text, sentence.presence, sentence.side, statement.confidence, regions, statement.flags)


def _box_region(series_uid: str, index: int, box: tuple[int, int, int, int], shape: tuple[int, int], turn: Turn) -> Region:
    return Region(series_uid, _place(index, box, shape, turn))


def _place(index: int, box: tuple[int, int, int, int], shape: tuple[int, int], turn: Turn) -> Box:
    top, left, bottom, right = turn.apply_to_box(box, shape)
    return Box((index, top, left), (index + 1, bottom, right))
