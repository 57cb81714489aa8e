"""On any geometry, masks and boxes are in the patient where they were, to the voxel, and come back as they went."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileDataset
from scipy.spatial.transform import Rotation

import dicom_sr
from radiology.finding import Finding, Region
from radiology.settings import ResultSettings
from radiology.study import Series, Study
from tests.dicom_sr.places import in_order, place_mm
from tests.dicom_sr.reports import report_on
from tests.dicom_sr.sources import captured, ct_series, enhanced, projections

SPACINGS_MM = st.floats(0.2, 3).map(lambda value: round(value, 3))
ANGLES = st.integers(-80, 80)
MARKS = st.integers(0, 2**32 - 1)


@dataclass(frozen=True)
class Marked:
    """A series in the order in which it was sent, and the numbers of two segments on it: (slice, row, column), 0 for none."""

    instances: list[FileDataset]
    numbers: NDArray[np.int64]

    @property
    def study(self) -> Study:
        return Study.from_instances(self.instances)


@st.composite
def volumes(draw: st.DrawFn) -> Marked:
    """A CT of any size, spacing and orientation, its gantry tilted or not, in single slices or one multi-frame instance."""
    size = draw(st.integers(1, 4)), draw(st.integers(1, 20)), draw(st.integers(1, 20))
    turn = Rotation.from_euler("xyz", [draw(ANGLES) for _ in range(3)], degrees=True)
    axes = turn.as_matrix()
    tilt = Rotation.from_rotvec(draw(st.integers(-25, 25)) * axes[:, 0], degrees=True)
    spacing_mm = draw(SPACINGS_MM), draw(SPACINGS_MM), draw(SPACINGS_MM)
    slices = ct_series(*size, spacing_mm, [*axes[:, 0], *axes[:, 1]], direction=tilt.apply(axes[:, 2]))
    order = draw(st.permutations(range(size[0])))
    instances = enhanced(slices, order) if draw(st.booleans()) else [slices[index] for index in order]
    return Marked(instances, numbers(draw, size))


@st.composite
def radiographs(draw: st.DrawFn) -> Marked:
    """CR or DX images of any size, one of them marked, or frames of a captured one."""
    rows, columns, count = draw(st.integers(1, 20)), draw(st.integers(1, 20)), draw(st.integers(1, 3))
    several = draw(st.booleans())
    instances = projections(1 if several else count, rows, columns, draw(st.sampled_from(["CR", "DX"])))
    if several:
        captured(instances[0], count)
    marks = np.zeros((count, rows, columns), int)
    marks[draw(st.integers(0, count - 1))] = numbers(draw, (1, rows, columns))
    return Marked(draw(st.permutations(instances)), marks)


def numbers(draw: st.DrawFn, size: tuple[int, int, int]) -> NDArray[np.int64]:
    marks = np.random.default_rng(draw(MARKS)).choice(3, size, p=draw(st.sampled_from([(0.9, 0.05, 0.05), (0.2, 0.4, 0.4)])))
    marks[draw(st.integers(0, size[0] - 1)), draw(st.integers(0, size[1] - 1)), draw(st.integers(0, size[2] - 1))] = 1
    return marks


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(volumes() | radiographs(), st.booleans())
def test_masks_and_boxes_stay_where_they_are(marked: Marked, label_maps: bool) -> None:
    study = marked.study
    series = study.series[0]
    shown = [number for number in (1, 2) if (marked.numbers == number).any()]
    regions = [Region.from_mask(series.series_uid, marked.numbers == number) for number in shown]
    report = report_on(study, *(Finding("nodule", "A nodule.", regions=(region,)) for region in regions))
    objects = [stored(each) for each in dicom_sr.write(study, report, settings=ResultSettings(label_maps=label_maps))]
    assert dicom_sr.read(objects, study) == dicom_sr.as_written(report)
    (segmentation,) = (each for each in objects if each.Modality == "SEG")
    for place, number in enumerate(shown, 1):
        wanted = [place_mm(series.frames[plane].header, row, column) for plane, row, column in np.argwhere(marked.numbers == number)]
        np.testing.assert_allclose(in_order(marked_mm(segmentation, place)), in_order(wanted), atol=1e-4)
    for region, outline in zip(regions, outlines(objects[0]), strict=True):
        check_box(region, outline, series)


def stored(dataset: Dataset) -> Dataset:
    """The object as an archive gives it back."""
    file = BytesIO()
    dcmwrite(file, dataset, enforce_file_format=True)
    file.seek(0)
    return dcmread(file)


def marked_mm(segmentation: Dataset, number: int) -> list[NDArray[np.float64]]:
    """The places of a segment's voxels, by the Segmentation's own geometry."""
    (shared,) = segmentation.SharedFunctionalGroupsSequence
    planes = segmentation.pixel_array.reshape(-1, segmentation.Rows, segmentation.Columns)
    places = []
    for frame, plane in zip(segmentation.PerFrameFunctionalGroupsSequence, planes, strict=True):
        if segmentation.SegmentationType == "LABELMAP":
            mask = plane == number
        else:
            said = frame if "SegmentIdentificationSequence" in frame else shared
            mask = (plane > 0) & (said.SegmentIdentificationSequence[0].ReferencedSegmentNumber == number)
        header = Dataset()
        for sequence in (frame.PlanePositionSequence, shared.PlaneOrientationSequence, shared.PixelMeasuresSequence):
            header.update(sequence[0])
        places += [place_mm(header, row, column) for row, column in np.argwhere(mask)]
    return places


def outlines(document: Dataset) -> list[Dataset]:
    """The SCOORD items of the findings, in their order."""
    found = []
    waiting = [document]
    while waiting:
        item = waiting.pop(0)
        if item.get("ValueType") == "SCOORD":
            found.append(item)
        waiting = [*item.get("ContentSequence", []), *waiting]
    return found


def check_box(region: Region, outline: Dataset, series: Series) -> None:
    """The outline lies on an image of the region, within half a pixel around the centres of the region's outermost pixels."""
    (image,) = outline.ContentSequence[0].ReferencedSOPSequence
    index = series.slice_of(image.ReferencedSOPInstanceUID, image.get("ReferencedFrameNumber"))
    assert region.box.start[0] <= index < region.box.stop[0]
    header = series.frames[index].header
    # 0\\0 is the corner of the first pixel (PS3.3 C.18.6.1.1), half a pixel before its centre.
    corners = [place_mm(header, row - 0.5, column - 0.5) for column, row in np.reshape(np.asarray(outline.GraphicData, float), (-1, 2))]
    (_, top, left), (_, bottom, right) = region.box.start, region.box.stop
    wanted = [place_mm(header, row - 0.5, column - 0.5) for row in (top, bottom) for column in (left, right)]
    assert all(min(np.linalg.norm(corner - each) for each in wanted) < 1e-3 for corner in corners)
    assert all(min(np.linalg.norm(corner - each) for corner in corners) < 1e-3 for each in wanted)
