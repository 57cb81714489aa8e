"""A patient is on one side only, today and tomorrow; a file that changed is noticed."""

from pathlib import Path

import pytest

from training.data.cases import PATIENTS
from training.data.manifest import ManifestError, check_files, check_patients, file_hash, split_of

SHARES = {"train": 0.8, "held_out": 0.2}


def test_a_patient_stays_in_its_split_and_the_shares_are_kept() -> None:
    patients = [f"P{number}" for number in range(2000)]
    splits = [split_of(patient, SHARES) for patient in patients]
    assert splits == [split_of(patient, SHARES) for patient in patients]
    assert abs(splits.count("train") / 2000 - 0.8) < 0.03
    assert splits != [split_of(patient, SHARES, seed=1) for patient in patients]


def test_a_patient_in_two_splits_is_named() -> None:
    check_patients([("A", "train"), ("A", "train"), ("B", "held_out")])
    with pytest.raises(ManifestError, match="B: held_out, train"):
        check_patients([("A", "train"), ("B", "train"), ("B", "held_out")])


def test_our_own_scenes_hold_out_a_patient_that_training_never_sees() -> None:
    apart = [(patient, split) for split, patients in PATIENTS.items() if split != "held_out_scenes" for patient, _ in patients]
    check_patients(apart)
    assert {split for _, split in apart} == {"train", "held_out_patient"}


def test_a_missing_or_changed_file_is_named(tmp_path: Path) -> None:
    for name in ("kept", "changed"):
        (tmp_path / name).write_text(name)
    hashes = {name: file_hash(tmp_path / name) for name in ("kept", "changed")}
    check_files(tmp_path, hashes)
    (tmp_path / "changed").write_text("something else")
    with pytest.raises(ManifestError, match=r"lacks \['gone'\] and has changed in \['changed'\]"):
        check_files(tmp_path, hashes | {"gone": "0"})
