"""Collected radiographs become cases; no patient is on both sides of the split."""

import json
from pathlib import Path

import numpy as np
import pytest

from radiology.errors import SightlineError
from tests.training.evaluation.films import block, write_film, write_folder
from training.collected import folds, main
from training.data.cases import Cases
from training.data.manifest import ManifestError


def test_every_patient_is_in_one_fold_and_in_the_same_one_again() -> None:
    patients = [f"p{number}" for number in range(11)] * 2
    dealt = folds(patients, 3, seed=1)
    assert sorted(patient for fold in dealt for patient in fold) == sorted(set(patients))
    assert {len(fold) for fold in dealt} == {3, 4}
    assert dealt == folds(patients[::-1], 3, seed=1)


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_radiographs_come_as_cases_with_findings_on_their_side(tmp_path: Path, fold: int) -> None:
    (tmp_path / "films").mkdir()
    write_folder(tmp_path / "films")
    main(tmp_path / "films", tmp_path / "out", fold=fold, count=3)
    train, held_out = (list(Cases(tmp_path / "out", split)) for split in ("train", "held_out_patient"))
    assert len(train) + len(held_out) == 4
    assert not {case.patient for case in train} & {case.patient for case in held_out}
    assert (tmp_path / "out" / "held_out.txt").read_text().split() == sorted({case.patient for case in held_out})
    of_a = [case for case in train + held_out if case.patient == "a"]
    assert all("left ground glass opacity" in case.masks and "right ground glass opacity" not in case.masks for case in of_a)
    mask = of_a[0].masks["left ground glass opacity"]
    assert not (mask & ~of_a[0].masks["left lung"]).any()
    assert np.argwhere(mask)[:, 1].mean() > mask.shape[1] / 2
    assert any("endotracheal tube" in case.masks for case in of_a)
    assert [case.masks for case in train + held_out if case.patient == "n"] == [{}]


def test_fewer_patients_to_learn_from_are_some_of_more_and_the_held_out_stay(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    write_folder(tmp_path / "films")
    learned_from, held_out = [], []
    for learn_from in (1, 2):
        main(tmp_path / "films", tmp_path / f"{learn_from}", fold=0, count=3, learn_from=learn_from)
        learned_from.append({case.patient for case in Cases(tmp_path / f"{learn_from}", "train")})
        held_out.append((tmp_path / f"{learn_from}" / "held_out.txt").read_text())
    assert [len(each) for each in learned_from] == [1, 2]
    assert learned_from[0] < learned_from[1]
    assert held_out[0] == held_out[1]


def test_what_nobody_judged_is_not_denied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    films = tmp_path / "films"
    films.mkdir()
    write_folder(films)
    outside = write_film(films, "c1", {"ground_glass_opacity": block(88, 2, 94, 8)}, patient="c")
    (films / "manifest.json").write_text(json.dumps([*json.loads((films / "manifest.json").read_text()), outside]))
    bare = write_film(films, "d1", {}, patient="d") | {"masks": {}}
    (films / "manifest.json").write_text(json.dumps([*json.loads((films / "manifest.json").read_text()), bare]))
    main(films, tmp_path / "out", fold=0, count=3)
    assert "1 radiographs are left out" in capsys.readouterr().out, "without a mask nobody is known to have looked at it"
    cases = {case.patient: case for split in ("train", "held_out_patient") for case in Cases(tmp_path / "out", split)}
    assert "d" not in cases
    assert "nodule" in cases["b"].unjudged, "nobody marks nodules on annotated films"
    assert "pleural effusion" not in cases["b"].unjudged
    assert "nodule" not in cases["n"].unjudged, "a radiograph without any finding has no nodule"
    assert "ground glass opacity" in cases["c"].unjudged, "marked, and in neither lung: it is there, and on no side"


def test_an_output_folder_is_never_written_into_twice(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    write_folder(tmp_path / "films")
    main(tmp_path / "films", tmp_path / "out", fold=0, count=3)
    with pytest.raises(ManifestError, match="is there already"):
        main(tmp_path / "films", tmp_path / "out", fold=0, count=3)


def test_a_wrong_question_leaves_no_folder_behind(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    write_folder(tmp_path / "films")
    for cases, fold, weights in ((tmp_path / "nowhere", 0, None), (tmp_path, 9, None), (tmp_path / "films", 0, tmp_path)):
        with pytest.raises(SightlineError):
            main(cases, tmp_path / "out", fold=fold, weights=weights)
    assert not (tmp_path / "out").exists(), "the corrected command can be given at once"
