"""What the adapters that OHIF ships make of our objects, held against what was written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread

from radiology.finding import Finding, Region
from radiology.report import Report
from radiology.study import Series, Study
from tests.dicom_sr.cases import Case
from tests.dicom_sr.outside import program, run

ADAPTERS = Path(__file__).parent / "ohif_adapters"
NODE = "Node.js 20"


@cache
def _script() -> Path:
    """The bundled script; its packages are installed once."""
    npm = program("npm", NODE)
    if not (ADAPTERS / "node_modules").exists():
        try:
            run(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=ADAPTERS)
        except BaseException:
            shutil.rmtree(ADAPTERS / "node_modules", ignore_errors=True)
            raise
    run(npm, "run", "--silent", "build", cwd=ADAPTERS)
    return ADAPTERS / "node_modules" / ".built" / "open.mjs"


def open_in_ohif(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """Open each folder's ``results`` on its ``sources``; one answer a folder, as ``open.mjs`` says it."""
    answer: list[dict[str, Any]] = json.loads(run(program("node", NODE), _script(), *folders))
    return answer


def wrong_boxes(study: Study, report: Report, measurements: Sequence[dict[str, Any]]) -> list[str]:
    """Say which places did not become a rectangle with its sentence, at its place on its image."""
    places = [(finding, region) for finding in report.findings for region in finding.regions]
    if len(places) != len(measurements):
        return [f"{len(measurements)} boxes instead of {len(places)}"]
    return [
        f"'{finding.sentence}' became {opened}"
        for opened, (finding, region) in zip(measurements, places, strict=True)
        if not _is(opened, finding, region, study.find_series(region.series_uid))
    ]


def _is(opened: dict[str, Any], finding: Finding, region: Region, series: Series) -> bool:
    frame = series.frames[region.key_slice]
    said = (opened["tool"], opened["label"], (opened["finding"] or "").lower(), opened["image"], opened["frame"])
    if said != ("RectangleROI", finding.sentence, finding.name, frame.uid, frame.number or 1):
        return False
    corners = np.asarray([_pixel(point, series, region.key_slice) for point in opened["points"]])
    (_, top, left), (_, bottom, right) = region.box.start, region.box.stop
    return bool(np.allclose([*corners.min(axis=0), *corners.max(axis=0)], [left, top, right, bottom], atol=1e-3))


def _pixel(point: Sequence[float], series: Series, index: int) -> tuple[float, float]:
    """Column and row of a point, in the adapters' way: they scale columns by the row spacing and rows by the column spacing.

    On pixels that are not square their points lie elsewhere than ours; our extension puts them right.
    """
    header = series.frames[index].header
    offset = np.asarray(point, float) - np.asarray(header.get("ImagePositionPatient") or [0, 0, 0], float)
    across, down = np.reshape(np.asarray(header.get("ImageOrientationPatient") or [1, 0, 0, 0, 1, 0], float), (2, 3))
    row_mm, column_mm = (float(value) for value in header.get("PixelSpacing") or header.ImagerPixelSpacing)
    # DICOM's 0\0 is the corner of the first pixel, Image Position its centre.
    return float(offset @ across) / row_mm + 0.5, float(offset @ down) / column_mm + 0.5


def wrong_masks(case: Case, path: Path, groups: Sequence[dict[str, list[int]]]) -> list[str]:
    """Say which segments of a Segmentation did not open pixel for pixel. ``groups``: layers of segment numbers by image."""
    wrong = []
    for segment in dcmread(path, stop_before_pixels=True).SegmentSequence:
        if "TrackingUID" in segment:  # the background of a label map has none
            region = case.regions[str(segment.TrackingUID)]
            series = case.study.find_series(region.series_uid)
            header = series.frames[0].header
            wanted = np.zeros((len(series.frames), int(header.Rows), int(header.Columns)), bool)
            wanted[region.box.slices] = region.mask
            shown = np.zeros_like(wanted)
            for group in groups:
                for index, frame in enumerate(series.frames):
                    pixels = group.get(f"{frame.uid}:{frame.number or 1}")
                    if pixels is not None:
                        shown[index] |= np.reshape(pixels, wanted.shape[1:]) == int(segment.SegmentNumber)
            if not np.array_equal(shown, wanted):
                wrong.append(f"segment {segment.SegmentNumber} opened with {shown.sum()} pixels of {wanted.sum()}")
    return wrong
