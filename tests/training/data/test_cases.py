"""Cases come back from disk as they were made, and no patient is on both sides of the split."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.training.data.chest import ball, chest
from training.data import drr, slices
from training.data.cases import PATIENTS, Cases, make, plan, write_shard
from training.data.manifest import ManifestError
from training.data.scene import Scene

SOURCES = Path(__file__).parents[3] / "var" / "sources"


def some_scenes() -> list[Scene]:
    rng = np.random.default_rng(0)
    body = drr.pose(chest(), rng)
    return [drr.scene(body, [ball(5)], rng) for _ in range(3)] + [slices.scene(chest(), [ball(4)], rng) for _ in range(3)]


def test_scenes_come_back_as_they_were_written(tmp_path: Path) -> None:
    scenes = some_scenes()
    digest = write_shard(tmp_path / "train-0000", scenes, "chest")
    (tmp_path / "manifest.json").write_text(
        f'{{"seed": 0, "shards": [{{"name": "train-0000", "split": "train", "scenes": {len(scenes)}, "sha256": "{digest}"}}]}}'
    )
    cases = Cases(tmp_path, "train")
    assert len(cases) == len(scenes)
    assert len(Cases(tmp_path, "held_out_patient")) == 0
    twice = Cases(tmp_path, "train", tmp_path)
    assert [case.name for case in twice] == 2 * [case.name for case in cases]
    for case, scene in zip(cases, scenes, strict=True):
        assert case.kind == scene.kind
        assert np.array_equal(case.image, scene.image)
        assert case.masks.keys() == scene.masks.keys()
        assert all(np.array_equal(case.masks[label], scene.masks[label]) for label in scene.masks)


def test_an_empty_mask_and_one_that_fills_the_image_come_back_as_they_were(tmp_path: Path) -> None:
    masks = {"heart": np.zeros((200, 131), bool), "mediastinum": np.ones((200, 131), bool)}
    write_shard(tmp_path / "train-0000", [Scene("projection", np.zeros((200, 131), np.int16), masks)], "chest")
    (tmp_path / "manifest.json").write_text('{"seed": 0, "shards": [{"name": "train-0000", "split": "train", "scenes": 1}]}')
    (case,) = Cases(tmp_path, "train")
    assert {label: (mask.shape, int(mask.sum())) for label, mask in case.masks.items()} == {
        "heart": ((200, 131), 0),
        "mediastinum": ((200, 131), 200 * 131),
    }


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    assert write_shard(tmp_path / "one" / "train-0000", some_scenes(), "chest") == write_shard(
        tmp_path / "two" / "train-0000", some_scenes(), "chest"
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    make(tmp_path / "whole", SOURCES, train=4, held_out=3, seed=5)
    whole = json.loads((tmp_path / "whole" / "manifest.json").read_text())
    shutil.copytree(tmp_path / "whole", tmp_path / "halted")
    (tmp_path / "halted" / "manifest.json").write_text(json.dumps(whole | {"shards": whole["shards"][:2]}))
    make(tmp_path / "halted", SOURCES, train=4, held_out=3, seed=5)
    assert json.loads((tmp_path / "halted" / "manifest.json").read_text()) == whole
    with pytest.raises(ManifestError, match="seed 5"):
        make(tmp_path / "whole", SOURCES, train=4, held_out=3, seed=6)


def test_the_held_out_patient_is_not_trained_on() -> None:
    train = {patient for patient, _ in PATIENTS["train"]}
    assert not train & {patient for patient, _ in PATIENTS["held_out_patient"]}
    assert {patient for split, patient, _, _ in plan(2000, 200) if split == "train"} == train


def test_the_plan_makes_the_number_of_scenes_asked_for() -> None:
    made = plan(2000, 200)
    assert sum(count for split, _, _, count in made if split == "train") == 2000
    assert sum(count for split, _, _, count in made if split == "held_out_patient") == 200
    assert {kind for split, _, kind, _ in made if split == "held_out_scenes"} == {"projection", "ct"}
