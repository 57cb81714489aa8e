import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radiology.finding import Side
from tests.training.evaluation.films import block, write_film, write_folder
from tests.training.phantom import chest
from training.data.cases import Cases, write_shard
from training.data.manifest import ManifestError
from training.data.scene import Scene
from training.evaluation.truth import Truth, read_truths, sentences_in


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(tmp_path)
    return tmp_path


def test_a_folder_of_films_is_read_with_what_is_known_of_each(folder: Path) -> None:
    a1, a2, b1, n1 = read_truths(folder)
    assert a1.shows(["ground glass opacity"]) is True
    assert b1.shows(["ground glass opacity", "consolidation"]) is False
    assert b1.shows(["nodule"]) is None, "the annotators did not look for nodules"
    assert (n1.normal, n1.shows(["nodule"])) == (True, False)
    assert a2.groups == {"view": "AP", "sex": "F", "age": "60 to 79", "device": "present"}
    assert b1.groups == {"view": "PA", "sex": "not stated", "age": "not stated", "device": "none"}
    assert b1.report == ("The lungs are clear.", "No effusion.")


def test_a_folder_without_negatives_without_masks_and_with_a_lost_file_is_read(tmp_path: Path) -> None:
    whole = write_film(tmp_path, "whole", {"consolidation": block(30, 20, 50, 36)})
    (tmp_path / "masks" / "whole_consolidation.png").unlink()
    bare = {"id": "bare"}
    write_film(tmp_path, "bare", {})
    (tmp_path / "manifest.json").write_text(json.dumps([whole, bare]))
    lost, unknown = read_truths(tmp_path)
    assert lost.shows(["consolidation"]) is None, "its mask is named and lost: it cannot be judged"
    assert lost.shows(["pneumothorax"]) is False
    assert (unknown.shows(["consolidation"]), unknown.normal, unknown.patient) == (None, False, "bare")
    assert not unknown.where(["lung"]).any()


def test_a_mask_of_another_size_is_brought_to_the_images(tmp_path: Path) -> None:
    entry = write_film(tmp_path, "a", {})
    Image.fromarray(block(0, 0, 20, 20, 48)).save(tmp_path / "masks" / "a_left_lung.png")
    (tmp_path / "manifest.json").write_text(json.dumps([entry]))
    (truth,) = read_truths(tmp_path)
    assert np.array_equal(truth.where(["lung"], Side.LEFT), block(0, 0, 40, 40))


def test_a_limit_takes_images_from_the_whole_list(folder: Path) -> None:
    assert [truth.name for truth in read_truths(folder, limit=1)] == ["a1", "n1"]
    assert [truth.name for truth in read_truths(folder, limit=2)] == ["a1", "a2", "n1"]


def truth_with(**masks: np.ndarray) -> Truth:
    case = chest(0)
    labels = {label.replace("_", " "): mask for label, mask in masks.items()}
    return Truth("a", "a", case.image.astype(np.float32), "projection", case.masks | labels, frozenset({"consolidation"}))


def test_an_unsided_mask_belongs_to_the_lung_that_it_lies_in_and_a_spill_to_none() -> None:
    lungs = chest(0).masks
    spilt = truth_with(consolidation=block(40, 26, 60, 40) | (lungs["left lung"] & block(46, 60, 48, 62)))
    assert spilt.where(["consolidation"], Side.RIGHT).any()
    assert not spilt.where(["consolidation"], Side.LEFT).any(), "four pixels of about 1,400 are a spill"
    both = truth_with(consolidation=block(40, 26, 60, 70))
    assert both.where(["consolidation"], Side.LEFT).any()
    assert not (both.where(["consolidation"], Side.LEFT) & ~lungs["left lung"]).any()


def test_a_sided_mask_is_taken_as_it_is() -> None:
    sided = truth_with(left_consolidation=block(46, 68, 47, 69))
    assert sided.where(["consolidation"], Side.LEFT).sum() == 1
    assert not sided.where(["consolidation"], Side.RIGHT).any()
    assert sided.where(["consolidation"]).sum() == 1


def test_the_side_of_a_place_is_its_lungs_and_beside_the_lungs_its_half_of_the_chest() -> None:
    truth = truth_with()
    assert truth.side_of(block(40, 20, 50, 30)) is Side.RIGHT
    assert truth.side_of(block(40, 62, 50, 80)) is Side.LEFT
    assert truth.side_of(block(90, 2, 95, 8)) is Side.RIGHT


def test_our_own_cases_are_read_with_a_report_written_from_their_facts(tmp_path: Path) -> None:
    case = chest(1)
    scenes = [
        Scene("projection", case.image, case.masks | {"left consolidation": block(40, 60, 60, 76)}),
        Scene("projection", case.image, case.masks),
    ]
    digest = write_shard(tmp_path / "held_out_patient-0000", scenes, "p")
    shard = {
        "name": "held_out_patient-0000",
        "split": "held_out_patient",
        "patient": "p",
        "kind": "projection",
        "scenes": 2,
        "sha256": digest,
    }
    (tmp_path / "manifest.json").write_text(json.dumps({"seed": 0, "shards": [shard]}))
    ill, normal = read_truths(tmp_path)
    assert (ill.normal, normal.normal) == (False, True)
    assert ill.where(["consolidation"], Side.LEFT).sum() == 20 * 16
    assert any("onsolidation" in sentence and "left" in sentence.lower() for sentence in ill.report)
    assert not any("[SEG]" in sentence for sentence in ill.report)


def test_of_collected_cases_only_what_somebody_looked_for_is_judged(tmp_path: Path) -> None:
    scene = Scene("projection", chest(0).image, chest(0).masks, unjudged=frozenset({"nodule"}))
    write_shard(tmp_path / "film", [scene], "p")
    shards = [{"name": "film", "split": "held_out_patient", "scenes": 1}]
    (tmp_path / "manifest.json").write_text(json.dumps({"shards": shards}))
    (truth,) = read_truths(tmp_path)
    assert (truth.shows({"nodule"}), truth.shows({"consolidation"}), truth.normal) == (None, False, False)


def test_sentences_are_cut_after_full_stops() -> None:
    text = "<think>\n</think><answer>FINDINGS:\nThe right lung [SEG] is clear.\nNo nodule.\nIMPRESSION:\nNo acute finding.\n</answer>"
    assert sentences_in(text) == ("The right lung is clear.", "No nodule.")


DAMAGE = {
    "no folder": (lambda folder: folder / "nowhere", "manifest.json cannot be read"),
    "broken list": (lambda folder: (folder / "manifest.json").write_text("[{"), "is not JSON"),
    "entry without id": (lambda folder: (folder / "manifest.json").write_text('[{"view": "PA"}]'), "1 entries .* have no id"),
    "image away": (lambda folder: (folder / "images" / "a2.png").unlink(), r"1 images are missing .*a2\.png"),
    "nobody left": (lambda folder: [(folder / name).write_text("[]") for name in ("manifest.json", "negatives.json")], "Nothing is left"),
    "a model's drafts": (lambda folder: (folder / "manifest.json").write_text('[{"id": "a1", "state": "draft"}]'), "drafts"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_folder_that_cannot_be_scored_is_refused_before_anything_is_read(folder: Path, damage: str) -> None:
    harm, message = DAMAGE[damage]
    elsewhere = harm(folder)
    with pytest.raises(ManifestError, match=message):
        read_truths(elsewhere if isinstance(elsewhere, Path) else folder)


def test_an_image_that_is_none_is_named(folder: Path) -> None:
    (folder / "images" / "a1.png").write_bytes(b"no picture")
    with pytest.raises(ManifestError, match=r"a1\.png cannot be read as an image"):
        read_truths(folder)[0]


def test_films_are_no_cases_to_train_on(folder: Path) -> None:
    with pytest.raises(ManifestError, match=r"training\.collected"):
        Cases(folder, "train")
