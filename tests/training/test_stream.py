from collections import Counter
from collections.abc import Iterator
from itertools import islice

import pytest

from ai_engine.model.language import Language
from ai_engine.model.unified import UnifiedModel
from tests.training.phantom import chest, with_nodule
from training.data.cases import Case
from training.examples import Encoder, Pictures
from training.packing import Row
from training.parts import PARTS
from training.stages import Augmentation, Config, Stage
from training.stream import Stream

SEEN = {"images": 2, "learning_rates": {"vision": 1e-3}, "weights": {"token": 0, "dice": 0, "mask_cross_entropy": 0, "coverage": 1}}
NEW = [chest(seed) for seed in range(6)]
OLD = [chest(seed) for seed in range(100, 140)]


def stage(**changed: object) -> Stage:
    return Stage.model_validate({"name": "pictures", "steps": 1} | SEEN | changed)


@pytest.fixture
def stream(model: UnifiedModel, language: Language) -> Stream:
    config = Config.model_validate({"model": "tiny", "seed": 3, "window": 4, "row_tokens": 512, "stages": [stage()]})
    return Stream(NEW, Encoder(model, language, Augmentation()), config, 0, rehearsed=OLD)


def names(stream: Stream, stage: Stage, count: int) -> Iterator[str]:
    for material in islice(stream.materials(stage), count):
        assert isinstance(material, (Pictures, Row))
        yield from material.names


def test_every_new_case_is_seen_once_a_pass_with_an_old_one_beside_it(stream: Stream) -> None:
    steps = stream.pass_samples // 2
    seen = list(names(stream, stage(), steps))
    new = [name for name in seen if name in {case.name for case in NEW}]
    assert sorted(new) == sorted(case.name for case in NEW)
    assert len(seen) == 2 * len(new) == stream.pass_samples
    for first in range(0, len(seen), 2):
        assert sum(name in new for name in seen[first : first + 2]) == 1, "half of each step is rehearsed"


def test_other_old_cases_come_with_every_pass(stream: Stream) -> None:
    known = {case.name for case in NEW}
    seen = [name for name in names(stream, stage(), 2 * stream.pass_samples) if name not in known]
    assert len(set(seen)) > len(NEW)


@pytest.mark.parametrize("images", [2, 0], ids=["pictures", "packed reports"])
def test_a_stream_goes_on_where_it_stood_with_the_same_rehearsal(stream: Stream, images: int) -> None:
    asked = stage(images=images)
    ahead = stream.materials(asked)
    for _ in range(3):
        next(ahead)
    later = Stream(NEW, stream.encode, stream.config, stream.window, stream.row, rehearsed=OLD)
    assert list(names(later, asked, 1)) == list(next(ahead).names)


@pytest.mark.parametrize("few", ["without a finding", "with one"])
def test_a_balanced_stage_learns_as_often_from_cases_with_a_finding_as_from_those_without(stream: Stream, few: str) -> None:
    ill: list[Case] = [with_nodule(40 + row, 60) for row in range(5)]
    cases = [NEW[0], *ill] if few == "without a finding" else [ill[0], *NEW[:5]]
    alone = Stream(cases, stream.encode, stream.config, 0)
    balanced, as_they_are = (Counter(nodules(alone, stage(balanced=wanted), 20)) for wanted in (True, False))
    assert balanced[True] == pytest.approx(balanced[False], rel=0.3)
    assert max(as_they_are.values()) > 3 * min(as_they_are.values())


def nodules(stream: Stream, stage: Stage, count: int) -> Iterator[bool]:
    """Of each picture, whether a nodule is to be learned from it."""
    for material in islice(stream.materials(stage), count):
        assert isinstance(material, Pictures)
        assert material.coverage is not None
        for tokens in material.coverage.chunk(len(material.names)):
            yield bool(tokens[:, PARTS.index("nodule")].any())


def test_a_case_that_comes_again_for_balance_is_varied_anew(stream: Stream) -> None:
    again = Stream([NEW[0], *(with_nodule(40 + row, 60) for row in range(5))], stream.encode, stream.config, 0)
    seen = []
    for material in islice(again.materials(stage(balanced=True)), 20):
        assert isinstance(material, Pictures)
        assert material.pixel_values is not None
        pictures = zip(material.names, material.pixel_values.chunk(len(material.names)), strict=True)
        seen += [pixels.numpy().tobytes() for name, pixels in pictures if name == NEW[0].name]
    assert len(set(seen)) == len(seen) > 10
