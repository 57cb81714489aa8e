import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import typer

from ai_engine.model.assistant import Assistant
from ai_engine.model.config import TINY
from ai_engine.model.language import Language
from ai_engine.model.unified import UnifiedModel
from ai_engine.model.weights import save_weights
from tests.training.conftest import SENTENCES
from tests.training.phantom import chest, with_nodule
from training.calibrate import ask, best_bound, bound_of, fit, main
from training.data.cases import Case, write_shard
from training.data.manifest import ManifestError
from training.data.scene import Scene
from training.data.tasks import SIDED
from training.evaluation.truth import scenes


def test_odds_that_are_twice_too_sure_are_halved() -> None:
    rng = np.random.default_rng(0)
    true_odds = rng.normal(-1, 2, 20_000)
    there = rng.random(20_000) < 1 / (1 + np.exp(-true_odds))
    scale = fit(np.stack([2 * true_odds + 1, rng.normal(size=true_odds.size)], 1), there)
    assert scale.slope == pytest.approx(0.5, abs=0.02)
    assert scale.mask_slope == pytest.approx(0, abs=0.05)
    assert scale.shift == pytest.approx(-0.5, abs=0.05)


def test_two_witnesses_count_for_what_each_of_them_knows() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 2, (20_000, 2))
    there = rng.random(20_000) < 1 / (1 + np.exp(-(0.5 * scores[:, 0] + 1.5 * scores[:, 1])))
    scale = fit(scores, there)
    assert (scale.slope, scale.mask_slope, scale.shift) == pytest.approx((0.5, 1.5, 0), abs=0.06)
    assert fit(scores * (1, -1), there).mask_slope == 0


def test_a_model_that_is_never_wrong_gets_a_finite_scale() -> None:
    scale = fit(np.array([[-5.0, 0], [-4.0, 0], [4.0, 0], [6.0, 0]]), np.array([False, False, True, True]))
    assert 0 < scale.slope < 100
    assert scale.probability(5.0) > 0.9
    assert scale.probability(-5.0) < 0.1


def test_the_bound_of_doubt_is_where_f1_is_best() -> None:
    # Called from 0.30 on: 2 right, 1 wrong, none missed, F1 0.8; from 0.41 on: 1 right, 1 missed, F1 0.67.
    probabilities = np.array([0.1, 0.2, 0.35, 0.4, 0.9])
    assert best_bound(probabilities, np.array([False, False, False, True, True])) == pytest.approx(0.4)
    assert best_bound(probabilities, np.array([False, False, True, False, True])) == pytest.approx(0.35)


def test_a_bound_calls_as_many_as_other_weights_did() -> None:
    probabilities = np.array([0.1, 0.2604, 0.7, 0.4])
    for count in (1, 2, 3):
        assert (probabilities >= bound_of(probabilities, count)).sum() == count


def with_side(side: str) -> Case:
    """A chest with a nodule on one side, or on none."""
    case = with_nodule(40, 60) if side == "left" else chest(1)
    return replace(case, unjudged=frozenset({"pneumothorax"}))


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with weights of a tiny model, scenes, and the patients that a fold of collected cases held out."""
    folder = tmp_path_factory.mktemp("calibrated")
    language = Language.train(SENTENCES * 4, TINY.vocabulary_size)
    torch.manual_seed(0)
    save_weights(folder / "weights", UnifiedModel(TINY, language), language)
    for name, split in (("scenes", "held_out_scenes"), ("fold", "held_out_patient")):
        made = [Scene(case.kind, case.image, case.masks, unjudged=case.unjudged) for case in [with_side("left"), with_side("none")] * 3]
        write_shard(folder / name / split, made, "phantom")
        (folder / name / "manifest.json").write_text(json.dumps({"shards": [{"name": split, "split": split, "scenes": len(made)}]}))
    return folder


def bound_in(weights: Path) -> float:
    return float(json.loads((weights / "config.json").read_text())["presence"]["doubt_below"])


def test_nothing_is_asked_of_what_nobody_looked_for_nor_of_what_is_withheld(calibrated: Path) -> None:
    assistant = Assistant.load(calibrated / "weights", threads=1)
    truths = scenes(calibrated / "fold", "held_out_patient")
    scores, there = ask(assistant, truths)
    fewer, _ = ask(assistant, truths, but=["pleural effusion"])
    assert (len(there), int(there.sum())) == (len(scores), 3), "one left nodule on every second of six films"
    assert len(scores) == 6 * (len(SIDED) - 2), "on neither side of any film"
    assert len(fewer) == len(scores) - 6 * 2


def test_the_bound_comes_from_scenes_from_held_out_patients_or_from_elsewhere(calibrated: Path) -> None:
    weights, data = calibrated / "weights", [calibrated / "scenes"]
    main(weights, data)
    of_scenes = bound_in(weights)
    main(weights, data, bound_on=calibrated / "fold")
    assert bound_in(weights) == of_scenes, "the same films under another name"
    main(weights, data, bound=0.37, unreliable=["mass"])
    assert bound_in(weights) == 0.37
    assert json.loads((weights / "config.json").read_text())["unreliable"] == ["mass"]
    main(weights, data, like=weights)
    assert bound_in(weights) <= 0.37
    with pytest.raises(typer.BadParameter, match="in one way"):
        main(weights, data, bound=0.37, bound_on=calibrated / "fold")


def test_a_bound_on_findings_that_nobody_has_is_refused(calibrated: Path) -> None:
    with pytest.raises(ManifestError, match="none of the findings"):
        main(calibrated / "weights", [calibrated / "scenes"], bound_on=calibrated / "fold", unreliable=["nodule"])
