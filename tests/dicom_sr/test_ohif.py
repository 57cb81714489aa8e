"""The adapters that OHIF 3.13.2 ships open our objects: every box with its sentence, every mask pixel for pixel."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

import dicom_sr
from radiology.finding import Finding, Region, Side
from radiology.report import Report
from radiology.study import Study
from tests.dicom_sr.outside import program, run, save
from tests.dicom_sr.reports import example_report, report_on
from tests.dicom_sr.sources import CT_SERIES_UID, PROJECTION_SERIES_UID, ct_series, projections

ADAPTERS = Path(__file__).parent / "ohif_adapters"


@pytest.fixture(scope="session")
def adapters() -> Path:
    """The bundled script; its packages are installed once."""
    npm = program("npm", "Node.js 20")
    if not (ADAPTERS / "node_modules").exists():
        try:
            run(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=ADAPTERS)
        except BaseException:
            shutil.rmtree(ADAPTERS / "node_modules", ignore_errors=True)
            raise
    run(npm, "run", "--silent", "build", cwd=ADAPTERS)
    return ADAPTERS / "node_modules" / ".built" / "open.mjs"


def open_in_ohif(script: Path, sources: Sequence[Dataset], results: Sequence[Dataset], folder: Path) -> Any:
    save(sources, folder / "sources")
    save(results, folder / "results")
    return json.loads(run(program("node", "Node.js 20"), script, folder / "sources", folder / "results"))


def test_every_box_hydrates_once_with_its_sentence(adapters: Path, tmp_path: Path) -> None:
    # OHIF scales x by the row spacing and y by the column spacing, so that only square pixels tell its places from ours.
    sources = [*ct_series(), *projections(2)]
    for image in sources[4:]:
        image.ImagerPixelSpacing = [0.3, 0.3]
    study = Study.from_instances(sources)
    report = example_report(study)
    opened = open_in_ohif(adapters, sources, dicom_sr.write(study, report), tmp_path)["measurements"]
    places = [(finding, region) for finding in report.findings for region in finding.regions]
    assert [each["tool"] for each in opened] == ["RectangleROI"] * len(places)
    assert [each["label"] for each in opened] == [finding.sentence for finding, _ in places]
    assert [(each["finding"] or "").lower() for each in opened] == [finding.name for finding, _ in places]
    for each, (_, region) in zip(opened, places, strict=True):
        image = next(source for source in sources if source.SOPInstanceUID == each["image"])
        assert sources.index(image) % 4 in range(region.box.start[0], region.box.stop[0])
        # DICOM's 0\0 is the corner of the first pixel, Image Position its centre.
        origin = np.asarray(image.get("ImagePositionPatient", [0, 0, 0]), float)[:2]
        spacing = float((image.get("PixelSpacing") or image.ImagerPixelSpacing)[0])
        corners = (np.asarray(each["points"])[:, :2] - origin) / spacing + 0.5
        assert corners.min(axis=0) == pytest.approx(region.box.start[:0:-1], abs=1e-3)
        assert corners.max(axis=0) == pytest.approx(region.box.stop[:0:-1], abs=1e-3)


@pytest.mark.parametrize(("rows", "columns"), [(30, 21), (32, 40), (21, 21)])
def test_every_mask_opens_pixel_for_pixel(rows: int, columns: int, adapters: Path, tmp_path: Path) -> None:
    sources = [*ct_series(4, rows, columns), *projections(2, rows, columns)]
    study = Study.from_instances(sources)
    report = random_masks(study, rows, columns)
    opened = open_in_ohif(adapters, sources, dicom_sr.write(study, report), tmp_path)["masks"]
    shown = {image: np.zeros((rows, columns), bool) for series in study.series for image in series.instance_uids}
    for segmentation in opened:
        for group in segmentation["groups"]:
            for image, pixels in group.items():
                shown[image] |= np.reshape(pixels, (rows, columns)) > 0
    wanted = {image: np.zeros((rows, columns), bool) for image in shown}
    for region in (region for finding in report.findings for region in finding.regions):
        slices, *plane = region.box.slices
        for image, mask in zip(study.find_series(region.series_uid).instance_uids[slices], np.asarray(region.mask), strict=True):
            wanted[image][tuple(plane)] |= mask
    assert {image: pixels.sum() for image, pixels in shown.items()} == {image: pixels.sum() for image, pixels in wanted.items()}
    assert all(np.array_equal(shown[image], wanted[image]) for image in shown)
    assert [each["labels"] for each in opened] == [["Right lung", "Right nodule"], ["Right nodule"], ["Right nodule"]]


def random_masks(study: Study, rows: int, columns: int) -> Report:
    """A report with overlapping random masks on the CT and a mask on each radiograph."""
    chance = np.random.default_rng(3)
    lung, nodule = (Region.from_mask(CT_SERIES_UID, chance.random((4, rows, columns)) > limit) for limit in (0.4, 0.8))
    front, side = (
        Region.from_mask(PROJECTION_SERIES_UID, chance.random((1, rows, columns)) > 0.5, first_slice=index) for index in range(2)
    )
    return report_on(
        study,
        Finding("lung", "The right lung.", side=Side.RIGHT, regions=(lung,)),
        Finding("nodule", "A nodule.", side=Side.RIGHT, regions=(nodule, front, side)),
    )
