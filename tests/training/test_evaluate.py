"""The whole command on a folder of films, and what its page shows."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import torch

from ai_engine.model.language import Language
from ai_engine.model.unified import UnifiedModel
from ai_engine.model.weights import save_weights
from tests.training.evaluation.films import write_folder
from tests.training.phantom import chest, with_nodule
from training import evaluate as command
from training.evaluation.blind import Blind
from training.evaluation.corruption import Corruption
from training.evaluation.figures import HEADLINE
from training.evaluation.pages import at, write_page
from training.evaluation.truth import read_truths


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    write_folder(folder)
    return folder


@pytest.fixture
def gradients() -> Iterator[None]:
    """The command turns them off for the process."""
    yield
    torch.set_grad_enabled(True)


@pytest.mark.usefixtures("gradients")
def test_untrained_weights_get_all_figures_and_none_of_them_good(
    tmp_path: Path, films: Path, model: UnifiedModel, language: Language
) -> None:
    save_weights(tmp_path / "weights", model, language)
    (tmp_path / "patients").write_text("a\n")
    command.main(films, tmp_path / "scores.json", tmp_path / "weights", patients=tmp_path / "patients", limit=1, tasks=1, threads=1)
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert (scores["images"], scores["unreadable_share"]) == (1, 1.0)
    assert {at(scores, f"structures.{name}.dice") for name in ("left_lung", "right_lung", "cardiomediastinum")} == {0.0}
    assert (at(scores, "findings.opacity.f1"), at(scores, "findings.opacity.p_at_50")) == (0.0, 0.0)
    assert scores["tasks"]["unreadable"]["segmentation"] == 1.0
    assert "| absent, given a place | " in write_page([scores], "untrained", tmp_path).read_text()
    assert all(name in scores["n"] and name in scores["intervals"] for name in HEADLINE)


@pytest.fixture(scope="module")
def blind() -> Blind:
    return Blind.of([*(chest(seed) for seed in range(6)), with_nodule(20, 60)])


def test_every_figure_of_a_reader_who_knows_lungs_but_never_looks(films: Path, blind: Blind, tmp_path: Path) -> None:
    scores = command.evaluate(blind, read_truths(films), times=20)
    assert at(scores, "structures.left_lung.dice") > 0.6
    assert (at(scores, "structures.left_lung.n"), scores["images"], scores["patients"]) == (3, 4, 3)
    assert (scores["normals_with_false_finding"], scores["normals_with_false_finding_n"]) == (0.0, 1)
    assert (at(scores, "findings.opacity.f1"), at(scores, "findings.opacity.n_boxes")) == (0.0, 2)
    assert scores["text"]["n"] == 1, "one film has a report"
    assert scores["subgroups"]["view: PA"]["images"] == 3
    assert scores["subgroups"]["device: present"]["images"] == 1

    scores |= {"reader": "never looks", "corruptions": command.worsened(blind, read_truths(films)[:1])}
    assert set(scores["corruptions"]) == set(get_args(Corruption))
    assert [step["severity"] for step in scores["corruptions"]["rotation"]] == [0, 1, 2, 3, 4, 5]
    turned = [step["structures.left_lung.dice"] for step in scores["corruptions"]["rotation"]]
    assert turned[5] < turned[0]

    page = write_page([scores, scores], "films", tmp_path).read_text()
    assert "| structures.left_lung.dice | 3 |" in page
    assert page.count("\n| rotation | ") == 5
    assert all((tmp_path / "pictures" / f"evaluation-films-{kind}.png").exists() for kind in ("dice", "corruptions"))
