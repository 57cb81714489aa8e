"""What the model has written: an answer in one of the agreed forms, or one that cannot be used."""

from collections.abc import Mapping
from contextlib import suppress

from ai_engine.model.answer import Part, Step, compose, parse
from ai_engine.model.tasks import compose_detection, compose_segmentation, parse_detection, parse_question, parse_segmentation
from radiology.errors import UnreadableAnswer


def seeds() -> Mapping[str, bytes]:
    """One answer of each form."""
    parts = (Part("right lung", (30, 12, 190, 101)), Part("left lung", (32, 118, 188, 205)))
    sentences = ["The right lung [SEG] shows a nodule [SEG].", "No pneumothorax, pleural effusion or nodule."]
    texts = {
        "report": compose([Step("lungs", parts, "clear.")], sentences, "A nodule."),
        "published": "<think>\nlungs 'right_lung' with bbox [1, 2, 3, 4]\n</think><answer>FINDINGS:\nClear.\nIMPRESSION:\nNo.\n</answer>",
        "segmentation": compose_segmentation(["right lung", "left lung"], ["pneumothorax"]),
        "detection": compose_detection("left lung", [(32, 118, 188, 205)]),
        "fenced": f"```json\n{compose_detection('heart', [(1, 2, 3, 4)])}\n```",
        "spans": "<|box_start|>(1,2),(3,4)<|box_end|>",
        "question": "Yes.",
    }
    return {name: text.encode() for name, text in texts.items()}


def play(data: bytes) -> None:
    """Read it as each of the forms: a task's answer may be anything."""
    text = data.decode("utf-8", "replace")
    for read in (parse, parse_segmentation, parse_detection, parse_question):
        with suppress(UnreadableAnswer):
            read(text)
