"""How sure the model is of what it said.

Of a finding or a device: the probability of "yes" when the model is asked about the same picture whether it is there, against that of
"no", on the scale that the weights' configuration gives. A report's own tokens do not tell: by the time a sentence is written the
reasoning has settled it, and what is left of doubt is about the wording. Where the weights were not trained with questions, and for
structures, the tokens are all there is: then it is the least probable token of the sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import exp

import torch

from ai_engine.model.answer import Sentence
from ai_engine.model.config import PresenceConfig
from ai_engine.model.language import Language
from ai_engine.model.prompt import answer_ids, presence_question, prompt_ids
from ai_engine.model.unified import Generated, UnifiedModel
from radiology.finding import Presence, Side
from radiology.terms import TERMS


def confidences(
    model: UnifiedModel, language: Language, visual: torch.Tensor, sentences: Sequence[Sentence], generated: Generated
) -> list[float]:
    """Return how probable it is that each sentence is right, 0 to 1.

    Args:
        visual: the picture's tokens, from :meth:`UnifiedModel.see`.
        sentences: what was read out of ``generated``.
    """
    lines = line_confidences(language, generated)
    scale = model.config.presence
    targets = {} if scale is None else {index: target for index, each in enumerate(sentences) if (target := _target(each))}
    there = presences(model, language, visual, targets.values(), scale) if scale is not None and targets else {}
    return [
        _of_sentence(sentence, there[targets[index]]) if index in targets else lines[sentence.line]
        for index, sentence in enumerate(sentences)
    ]


def _target(sentence: Sentence) -> str:
    """What to ask about a sentence; nothing where it is of a structure, or of nothing that has a name."""
    if sentence.name not in TERMS or TERMS[sentence.name].kind == "structure":
        return ""
    return f"{sentence.side.value} {sentence.name}" if sentence.side in (Side.RIGHT, Side.LEFT) else sentence.name


def _of_sentence(sentence: Sentence, there: float) -> float:
    return 1 - there if sentence.presence is Presence.ABSENT else there


def presences(
    model: UnifiedModel, language: Language, visual: torch.Tensor, targets: Iterable[str], scale: PresenceConfig
) -> dict[str, float]:
    """Ask about one picture whether each target is there, all in one pass; return the probability of yes, 0 to 1."""
    asked = list(dict.fromkeys(targets))
    prompts = [prompt_ids(language, model.config.visual_tokens, presence_question(target)) for target in asked]
    common = prompts[0].index(language.special_ids["<|vision_end|>"]) + 1
    chances = model.chances(prompts[0][:common], [prompt[common:] for prompt in prompts], visual)
    yes, no = (chances[:, answer_ids(language, word)[0]].double().clamp_min(1e-12).log() for word in ("yes", "no"))
    return dict(zip(asked, (scale.slope * (yes - no) + scale.shift).sigmoid().tolist(), strict=True))


def line_confidences(language: Language, generated: Generated) -> dict[int, float]:
    """Return the probability of the least probable token of every line of the text."""
    lines: dict[int, float] = {}
    line = 0
    for token, log_probability in zip(generated.ids, generated.log_probabilities, strict=True):
        lines[line] = min(lines.get(line, 1.0), exp(log_probability))
        # A line break is one byte, so counting them needs no whole characters.
        line += language.decode([token]).count("\n")
    return lines
