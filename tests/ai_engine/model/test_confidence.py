"""An assistant that was taught short answers beside its report: what it draws, boxes, answers, and how sure it is."""

import math

import numpy as np
import pytest
import torch

from ai_engine.model import assistant
from ai_engine.model.answer import parse
from ai_engine.model.assistant import Assistant
from ai_engine.model.confidence import confidences
from ai_engine.model.config import TINY, PresenceConfig
from ai_engine.model.images import Letterbox, mllm_input, windowed
from ai_engine.model.prompt import answer_ids, presence_question, prompt_ids
from ai_engine.model.tasks import compose_detection, compose_segmentation
from ai_engine.model.unified import Generated
from radiology.errors import UnreadableAnswer
from radiology.finding import Presence
from tests.ai_engine.conftest import LEFT_LUNG, REPORT, chest

IMAGE = chest(224, 224)
ANSWERS = (
    (compose_segmentation(["left lung", "left nodule"]), torch.zeros(2, TINY.text.hidden_size)),
    (
        f"[{compose_detection('left lung', [LEFT_LUNG])[1:-1]}, {compose_detection('left nodule', [(30, 60, 60, 90)])[1:-1]}]",
        torch.zeros(0),
    ),
)
"""A lung and a nodule, drawn and boxed, with the states of their marks."""


def test_what_is_asked_for_is_segmented(versed: Assistant) -> None:
    reply = versed.segment(IMAGE, "projection", "right lung")
    (place,) = reply.places
    assert (reply.text, place.label, place.box) == ("The right lung.", "right lung", None)
    assert place.mask is not None
    assert place.mask.pixels.shape == IMAGE.shape
    assert 0.5 < reply.confidence <= 1


def test_what_is_absent_is_said_and_not_marked(versed: Assistant) -> None:
    for answer in (versed.segment, versed.detect):
        reply = answer(IMAGE, "projection", "pneumothorax")
        assert (reply.text, reply.places) == ("No pneumothorax is seen.", ())


def test_a_finding_that_is_drawn_or_boxed_but_too_improbable_is_said_to_be_absent(
    versed: Assistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, boxed = (Generated(tuple(answer_ids(versed.language, words)), (-0.1,), states) for words, states in ANSWERS)
    for answer, generated in ((versed.segment, drawn), (versed.detect, boxed)):
        monkeypatch.setattr(versed.model, "generate", lambda *_, generated=generated: [generated])
        for bound, found in ((0.0, ["left lung", "left nodule"]), (0.99, ["left lung"])):
            doubting = versed.config.model_copy(update={"presence": PresenceConfig(shift=-9.0, doubt_below=bound)})
            monkeypatch.setattr(versed.model, "config", doubting)
            reply = answer(IMAGE, "projection", "left lung and the left nodule")
            assert [place.label for place in reply.places] == found
            assert ("No left nodule is seen." in reply.text) is (bound > 0)


def test_what_is_asked_for_is_boxed_in_the_pixels_of_the_source(versed: Assistant) -> None:
    top, left, bottom, right = (2 * edge for edge in LEFT_LUNG)
    (place,) = versed.detect(IMAGE, "projection", "left lung").places
    assert (place.label, place.box, place.mask) == ("left lung", (top, left, bottom, right), None)


def test_a_question_is_answered_with_a_word(versed: Assistant) -> None:
    reply = versed.ask(IMAGE, "projection", "Which side is the nodule on?")
    assert (reply.text, reply.places) == ("left", ())


def test_an_answer_to_another_task_is_refused(versed: Assistant) -> None:
    hurried = Assistant(versed.model, versed.language, maximum_new_tokens=3)
    with pytest.raises(UnreadableAnswer):
        hurried.detect(IMAGE, "projection", "left lung")


def test_a_finding_is_as_sure_as_the_models_yes_to_whether_it_is_there(versed: Assistant) -> None:
    lung, nodule, effusion = versed.read(IMAGE, "projection").sentences
    assert (nodule.presence, effusion.presence) == (Presence.PRESENT, Presence.ABSENT)
    yes, no = (answer_ids(versed.language, word)[0] for word in ("yes", "no"))

    def odds(target: str) -> float:
        ids = torch.tensor(prompt_ids(versed.language, TINY.visual_tokens, presence_question(target)))
        patches = torch.from_numpy(mllm_input(Letterbox.fit((224, 224), TINY.image_size).image(windowed(IMAGE, "projection"))))
        with torch.no_grad():
            logits = versed.model.logits(versed.model(ids[None], versed.model.positions(ids)[:, None], patches).hidden[0, -1])
        return math.exp(logits[yes] - logits[no])

    assert nodule.confidence == pytest.approx(odds("left nodule") / (1 + odds("left nodule")), abs=1e-4)
    assert effusion.confidence == pytest.approx(1 / (1 + odds("pleural effusion")), abs=1e-4)
    assert nodule.confidence > 0.9
    assert effusion.confidence > 0.9
    assert 0 < lung.confidence <= 1


def test_without_questions_what_is_stated_is_as_sure_as_its_least_sure_token_and_a_denial_as_its_tokens_are_on_average(
    taught_assistant: Assistant,
) -> None:
    language = taught_assistant.language
    ids = answer_ids(language, REPORT)
    # The first token of every line has the probability 1/4, the others 1.
    begins = [index == 0 or "\n" in language.decode([ids[index - 1]]) for index in range(len(ids))]
    generated = Generated(tuple(ids), tuple(math.log(0.25) if first else 0.0 for first in begins), torch.zeros(2, 1))
    sentences = parse(REPORT).sentences
    lung, nodule, effusion = confidences(taught_assistant.model, language, torch.zeros(0), [], sentences, generated)
    assert (lung, nodule) == (pytest.approx(0.25), pytest.approx(0.25))
    tokens = len(language.encode_marked("No pleural effusion.\n"))
    assert effusion == pytest.approx(0.25 ** (1 / tokens))


def test_the_weights_own_scale_moves_the_confidence_and_decides_what_is_doubted(versed: Assistant) -> None:
    def read(presence: PresenceConfig) -> list[tuple[float, bool]]:
        versed.model.config = TINY.model_copy(update={"presence": presence})
        return [(sentence.confidence, sentence.doubted) for sentence in versed.read(IMAGE, "projection").sentences]

    before = versed.model.config
    try:
        plain, pessimistic = read(PresenceConfig()), read(PresenceConfig(slope=1e-6, shift=-1.0, doubt_below=0.5))
        lenient = read(PresenceConfig(slope=1e-6, shift=-1.0, doubt_below=0.2))
    finally:
        versed.model.config = before
    assert not any(doubted for _, doubted in plain)
    there = 1 / (1 + math.e)
    assert [pessimistic[0][0], *(round(confidence, 3) for confidence, _ in pessimistic[1:])] == [
        plain[0][0],
        round(there, 3),
        round(1 - there, 3),
    ]
    assert [doubted for _, doubted in pessimistic] == [False, True, False]
    assert [doubted for _, doubted in lenient] == [False, False, True]


def test_a_mask_that_is_expected_to_be_worth_little_makes_a_finding_doubtful(versed: Assistant) -> None:
    def read(presence: PresenceConfig) -> list[float]:
        versed.model.config = TINY.model_copy(update={"presence": presence})
        return [sentence.confidence for sentence in versed.read(IMAGE, "projection").sentences]

    found = versed.evidence(IMAGE, "projection", ["left nodule", "pleural effusion"])
    before = versed.model.config
    try:
        _, nodule, effusion = read(PresenceConfig(slope=0.0, mask_slope=2.0, shift=0.5))
    finally:
        versed.model.config = before
    there, fluid = (1 / (1 + math.exp(-(2 * found[target].drawn + 0.5))) for target in ("left nodule", "pleural effusion"))
    assert (nodule, effusion) == (pytest.approx(there, abs=1e-4), pytest.approx(1 - fluid, abs=1e-4))


def test_readings_made_together_are_those_made_alone(versed: Assistant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assistant, "TOGETHER", 2)
    images = [IMAGE, chest(112, 200), IMAGE[:, ::-1]]
    for image, together in zip(images, versed.read_many(images, "projection"), strict=True):
        if isinstance(together, UnreadableAnswer):
            with pytest.raises(UnreadableAnswer) as refused:
                versed.read(image, "projection")
            assert together.raw_text == refused.value.raw_text
            continue
        alone = versed.read(image, "projection")
        assert together.raw_text == alone.raw_text
        for one, other in zip(together.sentences, alone.sentences, strict=True):
            assert one.confidence == pytest.approx(other.confidence, abs=1e-4)
            for place, again in zip(one.places, other.places, strict=True):
                assert (place.box, place.mask is None) == (again.box, again.mask is None)
                assert place.mask is None or again.mask is None or np.mean(place.mask.pixels != again.mask.pixels) < 1e-3
