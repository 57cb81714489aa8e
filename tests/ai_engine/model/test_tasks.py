import pytest

from ai_engine.model.answer import Part
from ai_engine.model.tasks import (
    Segmentation,
    absence,
    compose_detection,
    compose_segmentation,
    parse_detection,
    parse_question,
    parse_segmentation,
)
from radiology.errors import UnreadableAnswer

LEFT = (32, 118, 188, 205)


@pytest.mark.parametrize(
    ("targets", "absent", "text"),
    [
        (["left lung"], [], "The left lung [SEG]."),
        (["right lung", "left lung"], [], "The right lung [SEG] and the left lung [SEG]."),
        (["heart", "trachea", "left nodule"], [], "The heart [SEG], the trachea [SEG] and the left nodule [SEG]."),
        ([], ["left pneumothorax"], "No left pneumothorax is seen."),
        (["heart"], ["nodule"], "The heart [SEG]. No nodule is seen."),
    ],
)
def test_a_segmentation_has_one_mark_for_each_target_and_none_for_an_absent_one(targets: list[str], absent: list[str], text: str) -> None:
    assert compose_segmentation(targets, absent) == text
    assert parse_segmentation(f"{text}<|im_end|>") == Segmentation(text.replace(" [SEG]", ""), tuple(targets))


def test_a_mark_without_a_known_name_is_called_what_stands_before_it() -> None:
    assert parse_segmentation("Sure, the kidney is segmented: [SEG].").labels == ("Sure, the kidney is segmented",)


@pytest.mark.parametrize("text", ["", "<|im_end|>", "<think>The lung [SEG].", 'The lung [SEG] {"bbox": 1}'])
def test_other_text_is_no_segmentation(text: str) -> None:
    with pytest.raises(UnreadableAnswer):
        parse_segmentation(text)


def test_a_segmentation_of_nothing_is_not_written() -> None:
    with pytest.raises(ValueError, match="at least one"):
        compose_segmentation([])


def test_boxes_are_written_as_x_before_y_and_read_again() -> None:
    text = compose_detection("left lung", [LEFT])
    assert text == '[{"bbox_2d": [118, 32, 205, 188], "label": "left lung"}]'
    assert parse_detection(text) == (Part("left lung", LEFT),)
    assert parse_detection(f"```json\n{text}\n```<|im_end|>") == (Part("left lung", LEFT),)
    assert parse_detection(text.replace("left lung", "left_Lung")) == (Part("left lung", LEFT),)


def test_boxes_in_box_tokens_are_read() -> None:
    assert parse_detection("<|box_start|>(118,32),(205,188)<|box_end|>") == (Part("", LEFT),)


def test_an_absent_target_has_no_box() -> None:
    assert compose_detection("nodule", []) == absence("nodule") == "No nodule is seen."
    assert parse_detection("No nodule is seen.<|im_end|>") == ()
    assert parse_detection("[]") == ()


def test_a_box_of_no_extent_has_no_place() -> None:
    assert parse_detection('[{"bbox_2d": [5, 5, 5, 9], "label": "nodule"}]') == (Part("nodule", None),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The nodule [SEG].",
        '[{"bbox_2d": [118, 32, 205',
        '[{"bbox_2d": [118, 32, 205], "label": "left lung"}]',
        '[{"bbox_2d": [118, 32, 205, -1], "label": "left lung"}]',
        '[{"bbox_2d": [118, 32, 205, 188.5], "label": "left lung"}]',
        '[{"bbox_2d": [118, 32, 205, 188]}]',
        '{"bbox_2d": [118, 32, 205, 188], "label": "left lung"}',
        "[1, 2, 3, 4]",
    ],
)
def test_malformed_boxes_are_refused_and_kept(text: str) -> None:
    with pytest.raises(UnreadableAnswer) as refused:
        parse_detection(text)
    assert refused.value.raw_text == text


@pytest.mark.parametrize(("text", "answer"), [("Yes.<|im_end|>", "yes"), ("upper  zone", "upper zone"), ("X-ray", "x-ray")])
def test_a_short_answer_is_its_words(text: str, answer: str) -> None:
    assert parse_question(text) == answer


@pytest.mark.parametrize("text", ["", ".", "the lung [SEG]", "<think>", "one two three four five six seven eight nine"])
def test_other_text_is_no_short_answer(text: str) -> None:
    with pytest.raises(UnreadableAnswer):
        parse_question(text)
