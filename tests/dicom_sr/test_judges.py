"""The judges of the gate have something to say where something is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from tests.dicom_sr.cases import Case, make
from tests.dicom_sr.judges import JUDGES
from tests.dicom_sr.outside import save


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make("CT", "findings", 1, tmp_path_factory.mktemp("case"))


def damaged(case: Case, kind: str, damage: Callable[[Dataset], None], folder: Path) -> Case:
    """The case with one object of this kind damaged, in another folder."""
    objects = [dcmread(path) for path in case.files]
    damage(objects[case.kinds.index(kind)])
    save([dcmread(path) for path in case.images], folder / "sources")
    return replace(case, folder=folder, files=tuple(save(objects, folder / "results")))


def without_class_attribute(dataset: Dataset) -> None:
    del dataset.ContentLabel


def of_another_patient(dataset: Dataset) -> None:
    dataset.PatientID = "ANOTHER"


def with_an_item_without_value(dataset: Dataset) -> None:
    del dataset.ContentSequence[0].ConceptCodeSequence


def with_a_group_that_is_none(dataset: Dataset) -> None:
    groups = next(item for item in dataset.ContentSequence if item.ConceptNameCodeSequence[0].CodeMeaning == "Imaging Measurements")
    groups.ContentSequence[0].ConceptNameCodeSequence[0].CodeValue = "121070"


def with_one_more_pixel(dataset: Dataset) -> None:
    pixels = bytearray(dataset.PixelData)
    pixels[0] ^= 1
    dataset.PixelData = bytes(pixels)


def with_a_moved_box(dataset: Dataset) -> None:
    groups = next(item for item in dataset.ContentSequence if item.ConceptNameCodeSequence[0].CodeMeaning == "Imaging Measurements")
    outline = next(item for item in groups.ContentSequence[0].ContentSequence if item.ValueType == "SCOORD")
    outline.GraphicData = [value + 1 for value in outline.GraphicData]


DAMAGES = [
    ("dciodvfy", "segmentation", without_class_attribute),
    ("dcentvfy", "segmentation", of_another_patient),
    ("dsrdump", "findings", with_an_item_without_value),
    ("tid1500reader", "findings", with_a_group_that_is_none),
    ("segimage2itkimage", "segmentation", with_one_more_pixel),
    ("OHIF adapters", "findings", with_a_moved_box),
    ("OHIF adapters", "segmentation", with_one_more_pixel),
    ("read(write)", "findings", with_a_moved_box),
    ("read(write)", "segmentation", with_one_more_pixel),
]


@pytest.mark.parametrize(("judge", "kind", "damage"), DAMAGES, ids=lambda value: getattr(value, "__name__", value))
def test_damage_is_found(judge: str, kind: str, damage: Callable[[Dataset], None], case: Case, tmp_path: Path) -> None:
    assert not any(JUDGES[judge]([case]).values())
    wrong = JUDGES[judge]([damaged(case, kind, damage, tmp_path)])
    assert wrong[tmp_path / "results" / case.files[case.kinds.index(kind)].name]
