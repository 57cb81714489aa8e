"""Real radiographs with reports become cases: boxes of the model, words of the radiologist, and a manifest that holds."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ai_engine.model.answer import parse
from ai_engine.model.assistant import Assistant
from tests.ai_engine.conftest import NODULE, chest, taught_assistant, tiny_language  # noqa: F401 (fixtures)
from training.data.manifest import ManifestError, check_files
from training.data.quality import Reason
from training.data.rationale import Facts, faults_of
from training.data.xray import LEAST_SCORE, NO_RATIONALE, Detection, collect, detections, rationale
from training.evaluation.overlap import box_iou
from training.evaluation.truth import read_truths

REPORT = "No pleural effusion. There is a nodule in the left lung. The right lung is clear. IMPRESSION: Left nodule."
REPORTS = {
    "kept": REPORT,
    "again": "There is a mass in the right lung. The heart is not enlarged.",
    "side": REPORT.replace("left", "right").replace("Left", "Right"),
    "short": "Fine.",
    "dated": f"{REPORT} Seen on 2026-11-22.",
    "silent": "The patient is rotated and has taken a shallow breath in this examination.",
}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    (folder / "images").mkdir()
    for name in REPORTS:
        image = chest(112, 112)
        Image.fromarray((image / image.max() * 255).astype(np.uint8)).save(folder / "images" / f"{name}.png")
    entries = [{"id": name, "patient": f"P-{name}", "view": "PA", "masks": {}, "report": report} for name, report in REPORTS.items()]
    (folder / "manifest.json").write_text(json.dumps(entries))
    return folder


def test_the_model_boxes_what_it_marks_and_doubtful_boxes_are_dropped(taught_assistant: Assistant) -> None:  # noqa: F811
    seen = {each.label: each for each in detections(taught_assistant, chest(112, 112))}
    assert set(seen) <= {"right lung", "left nodule"}
    assert all(each.score >= LEAST_SCORE for each in seen.values())
    assert box_iou(seen["left nodule"].box, NODULE) > 0.5


def test_the_radiologists_words_are_tied_to_the_models_boxes() -> None:
    mask = np.ones((448, 448), bool)
    seen = [Detection("right lung", 0.9, mask, (40, 40, 360, 200)), Detection("left nodule", 0.9, mask, (136, 256, 248, 368))]
    text = rationale(seen, (448, 448), 224, REPORT)
    assert text is not None
    boxes = {"right lung": (20, 20, 180, 100), "left nodule": (68, 128, 124, 184)}
    assert faults_of(text, Facts(boxes, REPORT)) == []
    assert [(sentence.name, len(sentence.marks)) for sentence in parse(text).sentences] == [
        ("nodule", 1),
        ("lung", 1),
        ("pleural effusion", 0),
    ]
    assert rationale(seen[:1], (448, 448), 224, REPORT) is None


def test_a_folder_of_films_becomes_a_folder_of_cases(taught_assistant: Assistant, films: Path, tmp_path: Path) -> None:  # noqa: F811
    counts = collect(films, taught_assistant, tmp_path)
    assert counts == {"kept": 1, NO_RATIONALE: 3, Reason.TXT_SHORT: 1, Reason.PHI: 1}
    (entry,) = json.loads((tmp_path / "manifest.json").read_text())
    assert (entry["id"], entry["patient"], entry["state"]) == ("kept", "P-kept", "draft")
    assert entry["split"] in ("train", "held_out")
    assert "nodule [SEG] in the left lung" in entry["answer"]
    check_files(tmp_path, entry["sha256"])
    with pytest.raises(ManifestError, match="drafts"):
        read_truths(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps([entry | {"state": "checked"}]))  # as a radiologist leaves it
    (truth,) = read_truths(tmp_path)
    assert truth.report
    assert (truth.name, truth.image.shape) == ("kept", (112, 112))
