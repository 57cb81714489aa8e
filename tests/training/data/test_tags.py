"""Tags come only from Table 2, and the obvious ones are right."""

from typing import get_args

import numpy as np
import pytest

from ai_engine.model.images import Kind
from ai_engine.model.prompt import Task
from training.data.tags import MODALITIES, REGIONS, TASKS, Modality, Region, TaskTag, tag
from training.data.tasks import ask


def test_the_labels_are_those_of_the_table() -> None:
    assert (len(MODALITIES), len(TASKS), len(REGIONS)) == (13, 15, 15)


@pytest.mark.parametrize(
    ("instruction", "modality", "body_part", "expected"),
    [
        ("Evaluate the provided chest radiograph and compile a report.", "DX", "CHEST", ("X-Ray", "Report Generation", "Chest")),
        ("Segment the left nodule.", "CT", "CHEST", ("CT", "Lesion Localization", "Chest")),
        ("Segment the liver.", "CT", "", ("CT", "Organ Recognition", "Abdomen")),
        ("Which modality is this?", "MR", "BRAIN", ("MRI", "Modality Recognition", "Brain")),
        ("Is there any left pleural effusion?", "CR", "", ("X-Ray", "Image Description", "Chest")),
        ("What has changed compared with the previous study?", "US", "ABDOMEN", ("Ultrasound", "Prior Comparison", "Abdomen")),
        ("Which dosage is usual?", "OT", "", ("Other", "Treatment Details", "Other")),
        ("Hello", "", "", ("Other", "Other", "Other")),
    ],
)
def test_rules_name_the_obvious(instruction: str, modality: str, body_part: str, expected: tuple[Modality, TaskTag, Region]) -> None:
    tags = tag(instruction, modality, body_part)
    assert (tags.modality, tags.task, tags.region) == expected


@pytest.mark.parametrize("task", get_args(Task))
def test_our_own_queries_are_all_known(task: Task) -> None:
    class Shown:
        kind: Kind = "projection"
        unjudged: frozenset[str] = frozenset()

    rng = np.random.default_rng(0)
    boxes = {"left lung": (0, 0, 9, 9), "left nodule": (1, 1, 5, 5), "heart": (3, 3, 8, 8)}
    for _ in range(60):
        query, _, _ = ask(task, Shown(), boxes, rng)
        tags = tag(query, "DX", "CHEST")
        assert tags.task in TASKS
        assert tags.task != "Other", query
