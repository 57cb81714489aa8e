"""Study and Series: what was sent to us, without pixels."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from pydicom import Dataset

from radiology.errors import IncompleteStudy, StudyError, UnsupportedImage
from radiology.frame import Frame, in_slice_order

_MOST_FRAMES = 1 << 16
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


@dataclass(frozen=True, eq=False)
class Series:
    """One series. ``instances`` are headers without pixels, a multi-frame one once.

    Slice ``k`` of every :class:`~radiology.finding.Box` of this series is ``frames[k]``, which in a series of single-frame
    images is ``instances[k]``. Cross-sectional series are ordered by position along the slice normal (PS3.3 C.7.6.2.1.1),
    never by Instance Number; projections, which have no position, by Instance Number, SOP Instance UID and frame number.
    """

    series_uid: str
    modality: str
    body_part: str
    instances: tuple[Dataset, ...]

    @property
    def instance_uids(self) -> tuple[str, ...]:
        """SOP Instance UIDs of the instances."""
        return tuple(str(instance.SOPInstanceUID) for instance in self.instances)

    @cached_property
    def frames(self) -> tuple[Frame, ...]:
        """The slices, in slice order. Raises :class:`~radiology.errors.UnsupportedImage` where instances claim too many."""
        frames: list[Frame] = []
        for instance in self.instances:
            frames += Frame.of(instance)
            if len(frames) > _MOST_FRAMES:
                raise UnsupportedImage(f"Series {self.series_uid} claims more than {_MOST_FRAMES} frames, more than is read at once.")
        return tuple(in_slice_order(frames))

    def slice_of(self, instance_uid: str, number: int | None = None) -> int:
        """Return the index of an image or of one of its frames (``Frame.number``); ``StudyError`` where it is none of this series."""
        for index, frame in enumerate(self.frames):
            if (frame.uid, frame.number) == (instance_uid, number):
                return index
        raise StudyError(f"Image {instance_uid}{f', frame {number}' if number else ''} is not part of series {self.series_uid}.")


@dataclass(frozen=True, eq=False)
class Study:
    """One study: what the model may know beside the pixels. ``priors`` are earlier studies of the patient that it is compared with."""

    study_uid: str
    series: tuple[Series, ...]
    age_years: float | None = None
    sex: str | None = None
    indication: str = ""
    priors: tuple[Study, ...] = ()

    def find_series(self, series_uid: str) -> Series:
        """Return the series with this UID; ``StudyError`` where the study has none."""
        for series in self.series:
            if series.series_uid == series_uid:
                return series
        raise StudyError(f"Series {series_uid} is not part of study {self.study_uid}.")

    @classmethod
    def from_instances(cls, instances: Iterable[Dataset]) -> Study:
        """Build a study from instances or headers; pixels are left behind.

        Raises:
            IncompleteStudy: no instance at all.
            StudyError: the instances belong to more than one study, or one does not say what it is.
        """
        groups: dict[str, list[Dataset]] = defaultdict(list)
        study_uids: set[str] = set()
        for instance in instances:
            for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
                if not instance.get(keyword):
                    raise StudyError(f"An instance has no {keyword}; correct it and send the study again.")
            study_uids.add(str(instance.StudyInstanceUID))
            groups[str(instance.SeriesInstanceUID)].append(without_pixels(instance))
        if not groups:
            raise IncompleteStudy("The study has no instance; send it again.")
        if len(study_uids) > 1:
            raise StudyError(f"Instances of {len(study_uids)} studies were mixed; send each study by itself.")
        first = next(iter(groups.values()))[0]
        return cls(
            study_uid=study_uids.pop(),
            series=tuple(
                Series(
                    series_uid=series_uid,
                    modality=str(members[0].get("Modality", "")),
                    body_part=str(members[0].get("BodyPartExamined", "") or ""),
                    instances=tuple(frame.header for frame in in_slice_order([Frame(member) for member in members])),
                )
                for series_uid, members in sorted(groups.items())
            ),
            age_years=_age_years(str(first.get("PatientAge", "") or "")),
            sex=str(first.get("PatientSex", "") or "") or None,
            indication=str(first.get("ReasonForTheRequestedProcedure", "") or ""),
        )


def without_pixels(instance: Dataset) -> Dataset:
    """Return a shallow copy of an instance without its pixel elements; the file meta information stays."""
    header = Dataset({tag: instance.get_item(tag, keep_deferred=True) for tag in instance.keys()})  # noqa: SIM118 - Dataset has its own keys()
    for keyword in _PIXELS:
        if keyword in header:
            delattr(header, keyword)
    if hasattr(instance, "file_meta"):
        header.file_meta = instance.file_meta
    return header


def digest(instance_uids: Iterable[str]) -> str:
    """SHA-256 over the sorted SOP Instance UIDs: which images a result was made from."""
    return hashlib.sha256("\n".join(sorted(instance_uids)).encode()).hexdigest()


def _age_years(age: str) -> float | None:
    """Decode an Age String (PS3.5 6.2, VR AS): ``042Y``, ``006M``, ``003W``, ``010D``."""
    match = re.fullmatch(r"(\d{3})([YMWD])", age)
    if match is None:
        return None
    return int(match[1]) / {"Y": 1.0, "M": 12.0, "W": 365.25 / 7, "D": 365.25}[match[2]]
