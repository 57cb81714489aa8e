"""What the model is asked: the queries of every task, and Qwen's chat form around one picture and one query.

    report         Evaluate the provided chest radiograph and compile a report. Let's think step by step.
    segmentation   Segment the left lung.
    detection      Locate the left lung, output its bbox coordinates using JSON format.
    question       Is there any left pleural effusion? Answer the question using a single word or phrase.

A target is words: a name of :data:`radiology.terms.TERMS` with the patient's side before it. The answers' forms are in
:mod:`ai_engine.model.answer` (report) and :mod:`ai_engine.model.tasks` (the others).
"""

from __future__ import annotations

from typing import Literal

from ai_engine.model.images import Kind
from ai_engine.model.language import END, Language

Task = Literal["report", "segmentation", "detection", "question"]

QUERIES: dict[Kind, str] = {
    "projection": "Evaluate the provided chest radiograph and compile a report. Let's think step by step.",
    "ct": "Evaluate the provided chest CT slice and compile a report. Let's think step by step.",
}
"""The report's query, as Citrus-V puts it."""
SEGMENTATION_QUERIES = (
    "Segment the {target}.",
    "Please segment the {target}.",
    "Please help segment the {target} in this image.",
    "Can you segment the {target}?",
    "Outline the {target}.",
    "Highlight the {target}.",
    "Delineate the {target} in the image.",
    "Show me the {target}.",
    "Where is the {target}? Answer with a mask.",
    "Mark every pixel of the {target}.",
)
"""Wordings that training draws from; a reading asks with the first."""
DETECTION_QUERIES = (
    "Locate the {target}, output its bbox coordinates using JSON format.",
    "Please detect the {target} in the given image using bounding box.",
)
"""Citrus-V's two wordings; a reading asks with the first."""
IS_THERE = "Is there any {target}?"
BRIEFLY = "Answer the question using a single word or phrase."
"""What makes a question a short one."""
LONGEST_INDICATION = 300
"""Characters of an indication that are read; a request's free text has no other bound."""


def presence_question(target: str) -> str:
    """Return the yes-or-no question whether ``target`` is there. Its answer's probability is a finding's confidence."""
    return f"{IS_THERE.format(target=target)} {BRIEFLY}"


def prompt_ids(language: Language, visual_tokens: int, query: str, indication: str = "") -> list[int]:
    """Return the tokens up to where the answer begins.

    Args:
        visual_tokens: tokens of the picture.
        query: what is asked; any text, neutralised.
        indication: why the study was asked for; any text, neutralised and cut.
    """
    reason = " ".join(indication.split())[:LONGEST_INDICATION]
    asked = f"{query} Indication: {reason}" if reason else query
    return [
        *language.encode_marked(f"<|im_start|>user\n<|vision_start|>{'<|image_pad|>' * visual_tokens}<|vision_end|>"),
        *language.encode(asked),
        *language.encode_marked(f"{END}\n<|im_start|>assistant\n"),
    ]


def follow_up_ids(language: Language, query: str) -> list[int]:
    """Return the tokens between an answer and the next one about the same picture: a further ``query``, any text, neutralised."""
    opening, closing = (language.encode_marked(marks) for marks in ("\n<|im_start|>user\n", f"{END}\n<|im_start|>assistant\n"))
    return [*opening, *language.encode(query), *closing]


def answer_ids(language: Language, answer: str) -> list[int]:
    """Return the tokens of one of our own answers (see :mod:`ai_engine.model.answer`), closed."""
    return language.encode_marked(answer + END)
