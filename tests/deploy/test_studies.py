"""The demo's studies: valid DICOM that says what it is, placed where the patient's right is right, with truth that fits."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from pydicom import Dataset, dcmread
from rich.console import Console

from deploy import studies
from deploy.recipes import RECIPES
from deploy.studies import DemoStudy
from radiology.finding import Finding, Side
from radiology.image import Projection, Volume, load
from radiology.study import Study

SOURCES = Path(__file__).parents[2] / "var" / "sources"
"""Where the demo keeps the packages; downloaded once."""


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def prepared(data_folder: Path) -> dict[str, DemoStudy]:
    return {study.folder.parent.name: study for study in studies.prepare(data_folder, SOURCES, Console(quiet=True))}


def instances(study: DemoStudy) -> list[Dataset]:
    return [dcmread(path) for path in sorted(study.folder.glob("*.dcm"))]


def true_finding(study: DemoStudy, name: str, side: Side | None = None) -> Finding:
    assert study.truth is not None
    return next(finding for finding in study.truth.findings if (finding.name, finding.side) == (name, side))


def test_what_we_write_is_valid(prepared: dict[str, DemoStudy]) -> None:
    validator = Path(sys.executable).with_name("dciodvfy")
    files = [path for name, study in prepared.items() if name != "radiograph-real" for path in sorted(study.folder.glob("*.dcm"))[::44]]
    assert len(files) == 8
    for path in files:
        said = subprocess.run([validator, path], capture_output=True, text=True, check=False).stderr.splitlines()
        assert [line for line in said if line.startswith(("Error", "Warning"))] == []


def test_the_ct_lies_in_the_patient_as_it_was_scanned(prepared: dict[str, DemoStudy]) -> None:
    images = instances(prepared["ct"])
    series = Study.from_instances(images).series[0]
    (volume,) = load(series, images)
    assert isinstance(volume, Volume)
    assert volume.array.shape == (133, 512, 512)
    assert_allclose(volume.spacing_mm, (2.5, 0.703125, 0.703125))
    assert_allclose(volume.affine[:3, 3], (-166, -171.7, -340), atol=1e-4)
    # columns go to the patient's left, and the heart's apex is there
    lungs = [true_finding(prepared["ct"], "lung", side).regions[0].box for side in (Side.RIGHT, Side.LEFT)]
    assert lungs[0].start[2] < lungs[1].start[2]
    # air in the lungs, soft tissue in the nodule
    for side in (Side.RIGHT, Side.LEFT):
        region = true_finding(prepared["ct"], "lung", side).regions[0]
        assert np.median(volume.array[region.box.slices][region.mask]) < -700
    nodule = true_finding(prepared["ct"], "nodule", Side.LEFT).regions[0]
    assert np.median(volume.array[nodule.box.slices][nodule.mask]) > -200
    assert nodule.box.shape[0] == 8
    assert int(nodule.mask.sum()) == 6282  # type: ignore[union-attr]


def test_the_projections_say_that_they_are_synthetic(prepared: dict[str, DemoStudy]) -> None:
    for name in ("normal", "nodule", "effusion", "opacity"):
        (image,) = instances(prepared[f"radiograph-{name}"])
        assert image.SyntheticData == "YES"
        assert image.ImageType[0] == "DERIVED"
        assert image.StudyDescription.startswith("SYNTHETIC")
        assert image.DerivationDescription.startswith("SYNTHETIC")
    assert instances(prepared["ct"])[0].SyntheticData == "NO"


def test_the_projections_differ_where_the_truth_says(prepared: dict[str, DemoStudy]) -> None:
    pictures = {}
    for name in ("normal", "nodule", "effusion", "opacity"):
        images = instances(prepared[f"radiograph-{name}"])
        (picture,) = load(Study.from_instances(images).series[0], images)
        assert isinstance(picture, Projection)
        pictures[name] = picture.array
    for name, term, side in (
        ("nodule", "nodule", Side.LEFT),
        ("effusion", "pleural effusion", Side.RIGHT),
        ("opacity", "consolidation", Side.RIGHT),
    ):
        region = true_finding(prepared[f"radiograph-{name}"], term, side).regions[0]
        change = np.zeros(pictures["normal"].shape, bool)
        change[region.box.slices[1:]] = region.mask[0]  # type: ignore[index]
        brighter = pictures[name] - pictures["normal"]
        assert np.median(brighter[change]) > 5 * abs(np.median(brighter[~change]))
        middle = pictures["normal"].shape[1] / 2
        centre = np.nonzero(change)[1].mean()
        assert (centre > middle) == (side is Side.LEFT)


def test_only_the_synthetic_studies_are_known_completely_and_the_real_radiograph_not_at_all(prepared: dict[str, DemoStudy]) -> None:
    complete = {name: study.truth and study.truth.complete for name, study in prepared.items()}
    assert complete == {
        "radiograph-normal": True,
        "radiograph-nodule": True,
        "radiograph-effusion": True,
        "radiograph-opacity": True,
        "radiograph-real": None,
        "ct": False,
    }


def test_the_real_radiograph_keeps_its_pixels_and_loses_what_nobody_needs(prepared: dict[str, DemoStudy]) -> None:
    (image,) = instances(prepared["radiograph-real"])
    assert image.PhotometricInterpretation == "MONOCHROME1"
    assert (image.Rows, image.Columns) == (1955, 1841)
    assert not image.PatientBirthDate
    assert "PixelSpacing" not in image


def test_studies_are_made_once_and_every_source_is_named(prepared: dict[str, DemoStudy], data_folder: Path) -> None:
    made = {path: path.stat().st_mtime_ns for path in data_folder.rglob("*.dcm")}
    again = studies.prepare(data_folder, Path("/nowhere"), Console(quiet=True))
    assert {path: path.stat().st_mtime_ns for path in data_folder.rglob("*.dcm")} == made
    assert [study.study_uid for study in again] == [study.study_uid for study in prepared.values()]
    assert "LIDC-IDRI-0001 (Armato et al., The Cancer Imaging Archive, CC BY 3.0)" in prepared["ct"].attribution
    assert "RG1" in prepared["radiograph-real"].attribution
    assert len(list(data_folder.rglob("ATTRIBUTION.txt"))) == len(again) == len(RECIPES)
