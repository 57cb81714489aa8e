"""Programs of other people accept our objects and read in them what we wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from pydicom import Dataset, dcmread
from scipy.spatial.transform import Rotation

import dicom_sr
from radiology.finding import Finding, Presence, Region
from radiology.report import Report
from radiology.study import Study
from tests.dicom_sr.outside import complaints, program, run, save
from tests.dicom_sr.reports import report_on
from tests.dicom_sr.sources import CT_SERIES_UID, PROJECTION_SERIES_UID, ct_series, projections


def test_the_synthetic_sources_are_valid_themselves(source_files: list[Path]) -> None:
    assert {path.name: complaints(path) for path in source_files} == {path.name: [] for path in source_files}


def test_dciodvfy_finds_no_error_and_no_warning(files: list[Path]) -> None:
    assert {path.name: complaints(path) for path in files} == {path.name: [] for path in files}


def test_dciodvfy_accepts_a_report_of_negatives_and_an_empty_report(study: Study, tmp_path: Path) -> None:
    negatives = report_on(study, Finding("pneumothorax", "No pneumothorax.", Presence.ABSENT))
    for path in save([*dicom_sr.write(study, negatives), *dicom_sr.write(study, report_on(study))], tmp_path):
        assert complaints(path) == []
        run(program("tid1500reader", "the Python package dcmqi"), "--inputDICOM", path, "--outputMetadata", tmp_path / "report.json")


def test_results_and_images_agree_on_patient_and_study(files: list[Path], source_files: list[Path]) -> None:
    said = run(program("dcentvfy", "the Python package dicom3tools"), *source_files, *files).splitlines()
    # Its view of Accession Number is that of a study; in an SR the attribute stands in the request as well.
    assert [line for line in said if line.startswith("Error") or "AccessionNumber" not in line] == []


def test_dsrdump_reads_the_report_without_complaint(files: list[Path]) -> None:
    said = run(program("dsrdump", "the Debian package dcmtk"), "-Ei", "+Pn", "+Pl", files[0])
    assert [line for line in said.splitlines() if line[:2] in {"E:", "W:", "F:"}] == []
    assert "There is a nodule in the right lung." in said


def test_tid1500reader_finds_every_place_with_its_finding_and_site(files: list[Path], report: Report, tmp_path: Path) -> None:
    output = tmp_path / "report.json"
    run(program("tid1500reader", "the Python package dcmqi"), "--inputDICOM", files[0], "--outputMetadata", output)
    groups = json.loads(output.read_text())["Measurements"]
    expected = [(finding, region) for finding in dicom_sr.as_written(report).findings for region in finding.regions]
    assert [group["TrackingUniqueIdentifier"] for group in groups] == [region.tracking_uid for _, region in expected]
    assert [group.get("Finding", {}).get("CodeMeaning", "").lower() for group in groups] == [finding.name for finding, _ in expected]
    assert {group["Laterality"]["CodeMeaning"] for group in groups if "Laterality" in group} == {"Right"}


def without(sources: Sequence[Dataset], *keywords: str) -> Sequence[Dataset]:
    for image in sources:
        for keyword in keywords:
            delattr(image, keyword)
    return sources


OBLIQUE = Rotation.from_euler("xyz", [20, -35, 10], degrees=True).as_matrix()


@pytest.mark.parametrize(
    "sources",
    [
        pytest.param(ct_series(5, 32, 40), id="axial"),
        pytest.param(ct_series(5, 32, 40, (3.0, 0.5, 0.9)), id="anisotropic"),
        pytest.param(ct_series(5, 32, 40, (3.0, 0.5, 0.9), [*OBLIQUE[:, 0], *OBLIQUE[:, 1]]), id="oblique"),
        pytest.param(ct_series(5, 21, 22), id="bits that do not align"),
        pytest.param(without(ct_series(), "FrameOfReferenceUID", "SliceThickness"), id="CT without frame of reference or thickness"),
        pytest.param(projections(2, 32, 40), id="CR"),
        pytest.param(projections(1, 21, 33, "DX"), id="DX, bits that do not align"),
    ],
)
def test_segimage2itkimage_finds_the_same_voxels_in_the_same_place(sources: Sequence[Dataset], tmp_path: Path) -> None:
    study = Study.from_instances(sources)
    series = study.series[0]
    rows, columns = int(sources[0].Rows), int(sources[0].Columns)
    is_ct = series.modality == "CT"
    mask = np.random.default_rng(7).random((3 if is_ct else 1, rows, columns)) > 0.7
    region = Region.from_mask(series.series_uid, mask, first_slice=1 if is_ct else 0)
    objects = dicom_sr.write(study, report_on(study, Finding("nodule", "A nodule.", regions=(region,))))
    document, segmentation = save(objects, tmp_path)
    assert complaints(document) == []
    assert complaints(segmentation) == []
    run(
        program("segimage2itkimage", "the Python package dcmqi"),
        *("--inputDICOM", segmentation, "--outputDirectory", tmp_path, "--outputType", "nrrd"),
    )
    image = SimpleITK.ReadImage(tmp_path / "1.nrrd")
    found = np.argwhere(SimpleITK.GetArrayFromImage(image) > 0)
    places = [image.TransformIndexToPhysicalPoint([int(value) for value in index[::-1]]) for index in found]
    assert _sorted(places) == pytest.approx(_sorted(_places(sources, mask, 1 if is_ct else 0)), abs=1e-3)


def _places(sources: Sequence[Dataset], mask: np.ndarray, first_slice: int) -> list[np.ndarray]:
    """Positions of the marked voxels in millimetres, by PS3.3 equation C.7.6.2.1-1; for a radiograph from its own corner."""
    places = []
    for plane, row, column in np.argwhere(mask):
        image = sources[first_slice + plane]
        origin = np.asarray(image.get("ImagePositionPatient", [0, 0, 0]), float)
        across, down = np.reshape(np.asarray(image.get("ImageOrientationPatient", [1, 0, 0, 0, 1, 0]), float), (2, 3))
        row_mm, column_mm = (float(value) for value in image.get("PixelSpacing") or image.ImagerPixelSpacing)
        places.append(origin + across * column_mm * column + down * row_mm * row)
    return places


def _sorted(places: Sequence[Sequence[float]] | list[np.ndarray]) -> np.ndarray:
    rounded = np.round(np.asarray(places, float), 2) + 0.0
    return np.asarray(places, float)[np.lexsort(rounded.T)]


def test_a_segmentation_has_the_size_of_its_source_and_one_bit_a_pixel_where_bits_align(files: list[Path]) -> None:
    ct, *radiographs = (dcmread(path) for path in files[1:])
    assert (ct.SegmentationType, ct.Rows, ct.Columns) == ("BINARY", 32, 40)
    assert [(each.SegmentationType, each.Rows, each.Columns) for each in radiographs] == [("FRACTIONAL", 30, 21)] * 2
    assert all(set(each.pixel_array.ravel()) == {0, 1} for each in radiographs)


def test_no_two_radiographs_share_a_frame_of_reference(files: list[Path]) -> None:
    ct, front, side = (dcmread(path) for path in files[1:])
    assert ct.FrameOfReferenceUID == f"{CT_SERIES_UID}.9"
    assert front.FrameOfReferenceUID != side.FrameOfReferenceUID
    assert front.ReferencedSeriesSequence[0].SeriesInstanceUID == PROJECTION_SERIES_UID


def test_sr_and_seg_name_the_same_places(files: list[Path]) -> None:
    document, *segmentations = (dcmread(path) for path in files)
    said = {str(element.value) for element in document.iterall() if element.keyword in {"UID", "TextValue"}}
    for segmentation in segmentations:
        for segment in segmentation.SegmentSequence:
            assert {segment.TrackingUID, segment.TrackingID} <= said
