"""Two small synthetic studies and their reports: a CT with nodule and effusion, a pair of radiographs with a nodule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.uid import generate_uid

from radiology.finding import Box, Finding, Presence, Region, Side
from radiology.image import Volume
from radiology.measuring import measured
from radiology.report import ModelIdentity, Report
from radiology.study import Study
from radiology.terms import TERMS
from tests.dicom_sr.sources import ct_series, projections

MODEL = ModelIdentity("Sightline small", "1", "ab" * 32)
STARTED = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


def ct_study(slices: int = 24, size: int = 96) -> list[FileDataset]:
    """An elliptic chest with two lungs, and a nodule in the right one around slice 15, row 44, column 30."""
    images = ct_series(slices, size, size, (5.0, 3.0, 3.0))
    row, column = np.mgrid[:size, :size] / size - 0.5
    lungs = sum(_disc(row / 1.5, column - side, 0.16) for side in (-0.2, 0.2)) > 0
    nodule = ct_nodule(slices, size)
    for index, image in enumerate(images):
        density = np.where(_disc(row, column / 1.3, 0.34), 40, -1000)
        density[lungs] = -850
        density[nodule[index]] = 50
        _fill(image, density + 1024, "2.25.51")
        image.SeriesDescription = "Chest 5.0"
        image.WindowCenter, image.WindowWidth = -300, 1500
    return images


def ct_nodule(slices: int = 24, size: int = 96) -> NDArray[np.bool_]:
    """Boolean (slice, row, column)."""
    slice_, row, column = np.mgrid[:slices, :size, :size]
    return np.asarray(((slice_ - 15) * 2) ** 2 + (row - 44) ** 2 + (column - 30) ** 2 <= 25)


def ct_report(study: Study, later: timedelta = timedelta(), impression: str = "A nodule in the right lung.") -> Report:
    """Nodule and effusion with masks that are measured, the effusion flagged, and a negative statement."""
    series = study.series[0]
    nodule = Region.from_mask(series.series_uid, ct_nodule(), 0.91)
    fluid = np.zeros((24, 96, 96), bool)
    fluid[4:8, 60:68, 60:76] = True
    findings = (
        Finding("nodule", "A nodule in the right lung.", side=Side.RIGHT, confidence=0.9, regions=(nodule,)),
        Finding(
            "pleural effusion",
            "A small pleural effusion on the left.",
            side=Side.LEFT,
            confidence=0.5,
            regions=(Region.from_mask(series.series_uid, fluid, 0.55),),
            flags=("The mask fills only a small part of its box.",),
        ),
        Finding("pneumothorax", "No pneumothorax.", Presence.ABSENT, confidence=0.8),
    )
    images = [Volume(series.series_uid, np.zeros((24, 96, 96), np.float32), np.diag([5.0, 3.0, 3.0, 1.0]))]
    return _report(
        study,
        *measured(findings, images),
        impression=impression,
        withheld=("One sentence was withheld: its side and the side of its mask disagree.",),
        started=STARTED + later,
    )


def second_series(images: Sequence[FileDataset]) -> list[FileDataset]:
    """The same images as another series of the study."""
    for image in images:
        image.SeriesInstanceUID, image.SeriesNumber, image.SeriesDescription = "2.25.2001", 2, "Mediastinum 5.0"
        image.SOPInstanceUID += ".2"
    return list(images)


def two_series_report(study: Study) -> Report:
    """The CT's report, with the nodule in the study's first series and the effusion in its second."""
    report = ct_report(study)
    nodule, fluid, *others = report.findings
    (region,) = fluid.regions
    fluid = replace(fluid, regions=(replace(region, series_uid=study.series[1].series_uid),))
    return replace(report, findings=(nodule, fluid, *others))


def crowded_report(study: Study, findings: int, masks: int | None = None) -> Report:
    """Statements all over a CT, of every kind of finding; the first ``masks`` of them (all by default) have a mask, the others a box."""
    series = study.series[0]
    slices, rows, columns = len(series.frames), int(series.frames[0].header.Rows), int(series.frames[0].header.Columns)
    names = [term.name for term in TERMS.values() if term.kind == "finding"]
    chance = np.random.default_rng(7)
    statements = []
    for index in range(findings):
        top, left = (int(chance.integers(size // 5, size * 3 // 5)) for size in (rows, columns))
        start = (index * (slices - 4) // findings, top, left)
        box = Box(start, (start[0] + 3, start[1] + rows // 8, start[2] + columns // 8))
        row, column = np.mgrid[-1 : 1 : box.shape[1] * 1j, -1 : 1 : box.shape[2] * 1j]  # type: ignore[misc]
        disc = np.broadcast_to(row**2 + column**2 <= 1, box.shape)
        region = Region(series.series_uid, box, np.ascontiguousarray(disc) if masks is None or index < masks else None, 0.8)
        name = names[index % len(names)]
        sentence = f"{name.capitalize()} number {index + 1}, at slice {start[0] + 2}."
        statements.append(Finding(name, sentence, confidence=0.7, regions=(region,)))
    return _report(study, *statements, impression=f"{findings} findings.")


def radiographs(rows: int = 250, columns: int = 210) -> list[FileDataset]:
    """A PA and a lateral view, of one series; the PA view has a nodule around row 90, column 60."""
    images = projections(2, rows, columns)
    row, column = np.mgrid[:rows, :columns]
    for image, is_frontal in zip(images, (True, False), strict=True):
        density = 2600 - 1400 * _ellipses(row, column, is_frontal) + 300 * np.sin(row / 9) * 0.3
        if is_frontal:
            density[(row - 90) ** 2 + (column - 60) ** 2 <= 100] += 900
        _fill(image, density, "2.25.52")
        image.SeriesDescription = "Chest PA and lateral"
    return images


def radiograph_report(study: Study) -> Report:
    """A nodule on the PA view, with a mask."""
    series = study.series[0]
    row, column = np.mgrid[:250, :210]
    mask = np.zeros((2, 250, 210), bool)
    mask[0] = (row - 90) ** 2 + (column - 60) ** 2 <= 144
    nodule = Region.from_mask(series.series_uid, mask, 0.87)
    return _report(
        study,
        Finding("nodule", "A nodule in the right upper lung.", side=Side.RIGHT, confidence=0.9, regions=(nodule,)),
        Finding("pneumothorax", "No pneumothorax.", Presence.ABSENT, confidence=0.8),
        impression="A nodule in the right upper lung.",
    )


def as_new_study(images: Sequence[FileDataset], patient_id: str | None = None) -> list[FileDataset]:
    """The same images with UIDs of their own, of a patient of their own unless one is given."""
    new: dict[str, str] = {}
    patient_id = patient_id or generate_uid(prefix=None)[-16:]
    for image in images:
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
            if keyword in image:
                setattr(image, keyword, new.setdefault(str(image[keyword].value), generate_uid(prefix=None)))
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        image.PatientID = patient_id
    return list(images)


def _report(study: Study, *findings: Finding, impression: str, withheld: tuple[str, ...] = (), started: datetime = STARTED) -> Report:
    uids = sorted(uid for series in study.series for uid in series.instance_uids)
    return Report(study.study_uid, findings, impression, MODEL, started, tuple(uids), withheld)


def _fill(image: FileDataset, pixels: NDArray[np.float64], study_uid: str) -> None:
    image.StudyInstanceUID = study_uid
    image.PixelData = np.clip(np.round(pixels), 0, 4095).astype("<u2").tobytes()


def _disc(row: NDArray[np.float64], column: NDArray[np.float64], radius: float) -> NDArray[np.bool_]:
    return np.asarray(row**2 + column**2 <= radius**2)


def _ellipses(row: NDArray[np.int64], column: NDArray[np.int64], is_frontal: bool) -> NDArray[np.bool_]:
    centres = (65, 145) if is_frontal else (105,)
    return np.asarray(np.any([((row - 115) / 80) ** 2 + ((column - centre) / 33) ** 2 <= 1 for centre in centres], axis=0))
