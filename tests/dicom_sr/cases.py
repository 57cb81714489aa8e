"""The cases of the gate: a study of every kind of source, and what was written about it in every situation.

Each case is a study of its own, with UIDs of its own, so that all of them fit into one archive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.dataset import FileDataset

import dicom_sr
from dicom_sr.identity import kind_of
from radiology.finding import Box, Finding, Presence, Region, Side
from radiology.image import VOLUME_MODALITIES
from radiology.judgement import Observer, Reason, Rejection
from radiology.measurement import Measurement, Quantity
from radiology.report import Report
from radiology.settings import ResultSettings
from radiology.study import Series, Study
from radiology.verdict import Accept, Decision, Edit, Reject, Verdict, judge
from tests.dicom_sr.outside import save
from tests.dicom_sr.reports import MODEL, STARTED, report_on
from tests.dicom_sr.sources import SOURCES, ct_series, projections

READER = Observer("Röntgen^Wilhelm", "Klinikum")
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Case:
    """A study and everything that was written about it, as files.

    Attributes:
        source: the kind of its images, a name of ``STUDIES``.
        situation: what happened to it, a name of ``SITUATIONS``.
        study: read from ``images``.
        reports: what was written, one after the other.
        in_force: the report that counts; None where all results were taken back.
        images: files below ``folder / "sources"``, in slice order.
        files: our objects below ``folder / "results"``.
        kinds: of which kind each of them is (``dicom_sr.kinds``).
    """

    source: str
    situation: str
    folder: Path
    study: Study
    reports: tuple[Report, ...]
    in_force: Report | None
    images: tuple[Path, ...]
    files: tuple[Path, ...]
    kinds: tuple[str, ...]

    @property
    def regions(self) -> dict[str, Region]:
        """Every region that was written, by Tracking UID."""
        findings = [finding for report in self.reports for finding in report.findings]
        return {region.tracking_uid: region for finding in findings for region in finding.regions}

    def of_kind(self, *names: str) -> list[Path]:
        """The files that are of these kinds."""
        return [path for path, kind in zip(self.files, self.kinds, strict=True) if kind in names]


def statements(study: Study, do_overlap: bool = True) -> tuple[Finding, ...]:
    """Two masks of random pixels on all slices and radiographs, one measured; a box alone, a negative, words without a term."""
    lungs: list[Region] = []
    nodules: list[Region] = []
    for series in study.series:
        lung, nodule = _chance(series, 0.4, 1), _chance(series, 0.7, 2)
        lungs += _regions(series, lung)
        nodules += _regions(series, nodule if do_overlap else nodule & ~lung)
    header = study.series[0].frames[0].header
    box = Region(study.series[0].series_uid, Box((0, 1, 2), (1, int(header.Rows) - 3, int(header.Columns) - 1)), score=0.25)
    return (
        Finding("lung", "The right lung is seen.", side=Side.RIGHT, confidence=0.9, regions=tuple(lungs)),
        Finding(
            "nodule",
            "A right nodule.",
            side=Side.RIGHT,
            confidence=0.7,
            regions=tuple(_measured(nodule) for nodule in nodules),
            flags=("The mask is small.",),
        ),
        Finding("", "Surgical clips.", regions=(box,)),
        Finding("pneumothorax", "No pneumothorax.", Presence.ABSENT, confidence=0.8),
    )


def _measured(region: Region) -> Region:
    """Some measurements, as they are of a nodule in a volume or on a radiograph."""
    index, (_, top, left), (_, bottom, right) = region.key_slice, region.box.start, region.box.stop
    size = Quantity.VOLUME if region.box.shape[0] > 1 else Quantity.AREA
    long, short = ((index, top, left), (index, bottom, right)), ((index, bottom, left), (index, top, right))
    return replace(
        region,
        measurements=(
            Measurement(size, 12.5),
            Measurement(Quantity.LONG_AXIS, 17.25, (long,)),
            Measurement(Quantity.SHORT_AXIS, 8.5, (short,)),
        ),
    )


def _chance(series: Series, limit: float, seed: int) -> NDArray[np.bool_]:
    header = series.frames[0].header
    shape = (len(series.frames), int(header.Rows), int(header.Columns))
    return np.asarray(np.random.default_rng(seed).random(shape) > limit)


def _regions(series: Series, mask: NDArray[np.bool_]) -> tuple[Region, ...]:
    """One region through the slices of a volume, or one on each radiograph."""
    if series.modality in VOLUME_MODALITIES:
        return (Region.from_mask(series.series_uid, mask, 0.8),)
    return tuple(Region.from_mask(series.series_uid, plane[None], 0.8, first_slice=index) for index, plane in enumerate(mask))


@dataclass(frozen=True)
class Written:
    """The reports, one after the other, all objects that there are then, and whether the last report is in force."""

    reports: list[Report]
    objects: list[Dataset]
    is_in_force: bool = True


def _findings(study: Study) -> Written:
    return _first(study, _report(study))


def _report(study: Study) -> Report:
    return report_on(study, *statements(study), impression="A nodule.", withheld=("One sentence was withheld.",))


def _label_maps(study: Study) -> Written:
    report = report_on(study, *statements(study, do_overlap=False))
    return Written([report], dicom_sr.write(study, report, settings=ResultSettings(label_maps=True)))


def _old_archive(study: Study) -> Written:
    report = report_on(study, *statements(study))
    return Written([report], dicom_sr.write(study, report, settings=ResultSettings(comprehensive_3d=False)))


def _nothing_found(study: Study) -> Written:
    return _first(study, report_on(study, statements(study)[-1], impression="No abnormality is seen."))


def _not_read(study: Study) -> Written:
    return _first(study, replace(report_on(study), failures=("The slices of the series are not evenly spaced.",), is_read=False))


def _read_again(study: Study) -> Written:
    before = _findings(study)
    report = replace(report_on(study, *statements(study)[:1]), model=replace(MODEL, weights_hash="6f" * 32), started=STARTED + HOUR)
    return Written([*before.reports, report], [*before.objects, *dicom_sr.write(study, report, before.objects)])


def _signed(study: Study) -> Written:
    return _revised(study, *(Accept(number) for number in (1, 2, 3, 4)))


def _corrected(study: Study) -> Written:
    """One sentence rejected, so that its segments go, and one in other words."""
    clips = dicom_sr.as_written(_report(study)).findings[2]
    edited = Edit(replace(clips, sentence="Surgical clips, two."))
    return _revised(study, Accept(1), Reject(2, Reason.FALSE_POSITIVE), edited, Accept(4))


def _taken_back(study: Study) -> Written:
    before = _findings(study)
    note = dicom_sr.reject(study, before.objects, Rejection(0, Reason.WRONG_PLACE, READER, STARTED + HOUR))
    return Written(before.reports, [*before.objects, note], is_in_force=False)


def _revised(study: Study, *verdicts: Verdict) -> Written:
    before = _findings(study)
    decision = Decision(str(before.objects[0].SOPInstanceUID), READER, STARTED + HOUR, verdicts, is_signed=True)
    report = judge(dicom_sr.as_written(before.reports[0]), decision)
    return Written([*before.reports, report], [*before.objects, *dicom_sr.revise(study, before.objects, decision)])


def _first(study: Study, report: Report) -> Written:
    return Written([report], dicom_sr.write(study, report))


SITUATIONS: dict[str, Callable[[Study], Written]] = {
    "findings": _findings,
    "masks as label maps": _label_maps,
    "findings for an old archive": _old_archive,
    "nothing found": _nothing_found,
    "not read": _not_read,
    "read again by another model": _read_again,
    "signed": _signed,
    "corrected and signed": _corrected,
    "taken back": _taken_back,
}
"""What may happen to a study; each writes all objects that it then has."""

STUDIES: dict[str, Callable[[], list[FileDataset]]] = {**SOURCES, "CT and CR": lambda: [*ct_series(), *projections(2, 32, 40)]}
"""The images of each study: of one kind, and of two."""

TYPICAL = ("CT", "CT, multi-frame", "CR")
"""One source of each way to refer to images: slices, frames, projections."""


def pairs() -> Iterator[tuple[str, str]]:
    """Every source with findings and with label maps, and every situation on the typical sources."""
    for source in STUDIES:
        for situation in SITUATIONS:
            if source in TYPICAL or situation in ("findings", "masks as label maps"):
                yield source, situation


def make(source: str, situation: str, number: int, folder: Path) -> Case:
    """Write one case below ``folder``; ``number`` tells its UIDs from those of other cases."""
    images = save([_numbered(image, number) for image in STUDIES[source]()], folder / "sources")
    study = Study.from_instances([dcmread(path) for path in images])
    written = SITUATIONS[situation](study)
    files = save(written.objects, folder / "results")
    reports = tuple(dicom_sr.as_written(report) for report in written.reports)
    return Case(
        source=source,
        situation=situation,
        folder=folder,
        study=study,
        reports=reports,
        in_force=reports[-1] if written.is_in_force else None,
        images=tuple(images),
        files=tuple(files),
        kinds=tuple(kind_of(each).name for each in written.objects),
    )


def _numbered(image: FileDataset, number: int) -> FileDataset:
    """Give all UIDs of the example studies an ending of their own."""
    for element in image.iterall():
        if element.VR == "UI" and str(element.value).startswith("2.25."):
            element.value = f"{element.value}.{number}"
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    return image
