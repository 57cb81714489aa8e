"""A source that is missing or altered is named, never used."""

from pathlib import Path

import numpy as np
import pytest

from tests.training.data.chest import SPACING, chest, ellipsoid
from training.data.sources import (
    ABDOMEN,
    ATTRIBUTION,
    GREAT_VESSELS,
    HEART,
    LEFT_LUNG,
    RIGHT_LUNG,
    Contoured,
    Package,
    SourceError,
    coarser,
    healed,
    load_scan,
    nodule_shapes,
)

SOURCES = Path(__file__).parents[3] / "var" / "sources"


def test_an_altered_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thing.whl").write_bytes(b"something else")
    with pytest.raises(SourceError, match="not the file"):
        Package("thing==1", "thing.whl", "0" * 64).fetch(tmp_path)


def test_a_source_that_cannot_be_had_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(SourceError, match=r"put thing\.whl into"):
        Package("no-such-thing==1", "thing.whl", "0" * 64).fetch(tmp_path)


def test_a_healed_patient_has_lung_where_the_lesion_was() -> None:
    scan = chest()
    lesion = ellipsoid((150, 120, 240), (15, 15, 15))
    scan.hounsfield[lesion] = 30
    scan.lesion[lesion] = True
    cured = healed(scan)
    assert cured.hounsfield[lesion].max() < -700
    assert (cured.labels[lesion] == LEFT_LUNG).all()
    assert not cured.lesion.any()


def test_half_the_resolution_covers_the_same_body() -> None:
    small = coarser(chest())
    assert small.spacing_mm == (SPACING[0], 2 * SPACING[1], 2 * SPACING[2])
    assert small.labels.shape == small.hounsfield.shape


def test_contours_become_a_solid_of_their_size() -> None:
    square = np.asarray([[10, 10], [10, 30], [30, 30], [30, 10]], float)
    shape = Contoured(tuple((z, square) for z in (0.0, 2.0, 4.0, 6.0, 8.0)), spacing_mm=0.5).shape(1.0)
    assert shape.sum() == pytest.approx(10 * 10 * 10, rel=0.25)


def test_the_real_patient_lies_as_every_patient_does() -> None:
    """Right is right, head is up, front is front; the nodule is the one that four readers outlined in the left lower lobe."""
    scan = coarser(load_scan("LIDC-IDRI-0001", SOURCES))

    def middle(values: int | tuple[int, ...]) -> np.ndarray:
        return np.argwhere(np.isin(scan.labels, values)).mean(0)

    right, left, heart, abdomen, mediastinum = (middle(part) for part in (RIGHT_LUNG, LEFT_LUNG, HEART, ABDOMEN, (HEART, GREAT_VESSELS)))
    spine = np.argwhere(scan.hounsfield[len(scan.hounsfield) // 2] > 400).mean(0)[0]
    assert right[2] < heart[2] < left[2]
    assert abs(heart[2] - left[2]) < abs(heart[2] - right[2])
    assert abdomen[0] < heart[0] < mediastinum[0] < np.argwhere(scan.labels == LEFT_LUNG)[:, 0].max()
    assert heart[1] < spine
    lesion = np.argwhere(scan.lesion)
    millilitres = len(lesion) * np.prod(scan.spacing_mm) / 1000
    assert millilitres == pytest.approx(7.8, abs=0.6)
    assert (scan.labels[scan.lesion] == LEFT_LUNG).mean() > 0.95
    assert {int(index) for index in lesion[:, 0]} <= set(range(85, 96))
    assert scan.hounsfield.min() == -1000
    assert "CC BY 3.0" in ATTRIBUTION[scan.name]


def test_real_nodules_are_solids_of_a_nodules_size() -> None:
    for nodule in nodule_shapes(SOURCES, 5, seed=1):
        block = nodule.shape(1.0)
        assert 3 < (6 / np.pi * block.sum()) ** (1 / 3) < 60
        assert nodule.slice_mm > 0
