import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.unet import BATCH, LABELS, Reader, UNet, batches, example, loss_of
from radiology.finding import Side
from tests.training.phantom import chest
from training.data.cases import Case, Cases, write_shard
from training.data.scene import Scene
from training.stages import Augmentation

STILL = Augmentation(zoom=0, stretch=0, bend=0, shift=0, turn_degrees=0, contrast=0, noise=0)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_it_learns_from_the_projections_of_cases_on_disk(tmp_path: Path) -> None:
    case, (slice_kind, film_kind) = chest(0), ("ct", "projection")
    shards = [{"name": kind, "split": "train", "kind": kind, "scenes": 1} for kind in (slice_kind, film_kind)]
    for kind, masks in ((slice_kind, {}), (film_kind, case.masks)):
        write_shard(tmp_path / kind, [Scene(kind, case.image, masks)], "phantom")
    (tmp_path / "manifest.json").write_text(json.dumps({"shards": shards}))
    pictures, targets = next(batches(Cases(tmp_path, "train"), seed=0))
    assert pictures.shape[0] == BATCH
    assert all(target[0].any() for target in targets), "the slice has no lung marked, so each picture is the projection"


def test_a_case_becomes_a_picture_and_what_each_label_covers() -> None:
    case = chest(0)
    opacity = np.zeros_like(case.masks["left lung"])
    opacity[40:60, 60:76] = True
    masks = case.masks | {"left consolidation": opacity, "right ground glass opacity": opacity[:, ::-1], "right nodule": opacity}
    picture, target = example(Case("a", "a", "projection", case.image, masks), STILL, np.random.default_rng(0))
    assert picture.shape == (3, 256, 256)
    assert target.shape == (len(LABELS), 128, 128)
    shares = target.mean((1, 2)) * 96 * 96
    assert shares[3] == pytest.approx(2 * opacity.sum(), rel=1e-3), "both kinds of opacity are one label, other findings none"
    assert shares[0] == pytest.approx(case.masks["right lung"].sum(), rel=1e-3)


def test_opacity_is_cut_between_the_drawn_lungs_and_measured_against_them() -> None:
    logits = np.full((4, 20, 40), -5.0, np.float32)
    logits[0, 5:15, 2:12] = logits[1, 5:15, 22:32] = 5
    logits[3, 5:10, 24:34] = 0.5
    found = Reader(UNet(), 0.0).opacity(logits)
    assert (found[Side.RIGHT][0].sum(), found[Side.RIGHT][1]) == (0, 0.0)
    assert (found[Side.LEFT][0].sum(), found[Side.LEFT][1]) == (50, 0.5)
    assert found[Side.LEFT][2] == pytest.approx(1 / (1 + np.exp(-0.5)))
    assert found[Side.RIGHT][2] == pytest.approx(1 / (1 + np.exp(5)))


def test_an_untrained_net_reads_any_size_of_image() -> None:
    torch.manual_seed(0)
    (reading,) = Reader(UNet().eval(), 0.05).read_many([np.random.default_rng(0).random((90, 70), np.float32)], "projection")
    drawn = [place.mask.pixels.shape for sentence in reading.sentences for place in sentence.places if place.mask is not None]
    assert set(drawn) <= {(90, 70)}
    assert {sentence.name for sentence in reading.sentences} <= {"lung", "mediastinum", "consolidation"}


def test_the_loss_is_lowest_where_the_target_is_drawn() -> None:
    target = torch.zeros(2, 4, 8, 8)
    target[:, :, :4] = 1
    right, wrong = 20 * (target - 0.5), 20 * (0.5 - target)
    assert loss_of(right, target) < 0.01
    assert loss_of(wrong, target) > 2
