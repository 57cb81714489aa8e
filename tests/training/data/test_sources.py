"""A source that is missing or altered is named, never used."""

from pathlib import Path

import numpy as np
import pytest

from tests.training.data.chest import SPACING, chest, ellipsoid
from training.data.sources import LEFT_LUNG, Contoured, Package, SourceError, coarser, healed


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
