"""The benchmark of the unified pass makes both procedures write the same answer, and sees where their masks differ."""

import pytest
import torch

from ai_engine.engine import WEIGHTS
from ai_engine.model.answer import parse
from ai_engine.model.weights import load_weights
from benchmarks import unified_pass
from benchmarks.unified_pass import MARKS, compare, report


@pytest.mark.parametrize("marks", MARKS)
def test_the_answer_is_a_readable_report_with_so_many_marks(marks: int) -> None:
    assert sum(len(sentence.marks) for sentence in parse(report(marks)).sentences) == marks


def test_both_procedures_draw_the_same_and_a_difference_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    model, language, _ = load_weights(WEIGHTS)
    assert compare(model, language, 1, rounds=1, device="cpu")["masks_equal"]

    def elsewhere(*arguments: object) -> unified_pass.Result:
        ids, logits = mine(*arguments)
        return ids, logits.flip(-1)

    mine = unified_pass.one_pass
    monkeypatch.setattr(unified_pass, "one_pass", elsewhere)
    assert not compare(model, language, 1, rounds=1, device="cpu")["masks_equal"]
