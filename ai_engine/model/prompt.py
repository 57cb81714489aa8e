"""What the model is asked: Qwen's chat form around one picture and one query."""

from __future__ import annotations

from ai_engine.model.images import Kind
from ai_engine.model.language import END, Language

QUERIES: dict[Kind, str] = {
    "projection": "Evaluate the provided chest radiograph and compile a report. Let's think step by step.",
    "ct": "Evaluate the provided chest CT slice and compile a report. Let's think step by step.",
}
LONGEST_INDICATION = 300
"""Characters of an indication that are read; a request's free text has no other bound."""


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


def answer_ids(language: Language, answer: str) -> list[int]:
    """Return the tokens of one of our own answers (see :mod:`ai_engine.model.answer`), closed."""
    return language.encode_marked(answer + END)
