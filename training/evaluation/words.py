"""How alike two texts are in words: ROUGE-L and CIDEr. Whether a sentence is true is asked in :mod:`training.evaluation.facts`."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

LONGEST = 4
"""CIDEr looks at phrases of one to four words."""
DEVIATION = 6.0
"""Words of difference in length at which CIDEr-D's penalty has fallen to exp(-1/2)."""


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return re.findall(r"[a-z0-9]+", text.lower())


def rouge_l(candidate: str, reference: str) -> float:
    """ROUGE-L (Lin 2004): F1 of the longest common subsequence of words."""
    mine, other = words_of(candidate), words_of(reference)
    row = [0] * (len(other) + 1)
    for word in mine:
        before = row
        row = [0]
        for place, against in enumerate(other):
            row.append(before[place] + 1 if word == against else max(row[place], before[place + 1]))
    return 2 * row[-1] / (len(mine) + len(other)) if row[-1] else 0.0


def cider(candidates: Sequence[str], references: Sequence[str]) -> float:
    """CIDEr-D (Vedantam et al. 2015) of a corpus with one reference each, 0 to 10.

    Phrases count by how rare they are among the references; a repeated phrase counts no more often than in the reference, and a
    difference in length costs.
    """
    phrases = [_phrases(text) for text in references]
    rare: Counter[tuple[str, ...]] = Counter(phrase for text in phrases for phrase in text)
    scores = [
        _likeness(_phrases(candidate), reference, rare, len(references)) for candidate, reference in zip(candidates, phrases, strict=True)
    ]
    return 10 * sum(scores) / len(scores) if scores else 0.0


def _phrases(text: str) -> Counter[tuple[str, ...]]:
    words = words_of(text)
    return Counter(tuple(words[at : at + size]) for size in range(1, LONGEST + 1) for at in range(len(words) - size + 1))


def _likeness(mine: Counter[tuple[str, ...]], other: Counter[tuple[str, ...]], rare: Counter[tuple[str, ...]], texts: int) -> float:
    """Mean over phrase lengths of the clipped cosine of the two texts, times the penalty for their difference in length."""

    def weigh(counted: Counter[tuple[str, ...]], size: int) -> dict[tuple[str, ...], float]:
        return {phrase: count * math.log(texts / max(1, rare[phrase])) for phrase, count in counted.items() if len(phrase) == size}

    total = 0.0
    for size in range(1, LONGEST + 1):
        one, two = weigh(mine, size), weigh(other, size)
        lengths = math.sqrt(sum(value**2 for value in one.values()) * sum(value**2 for value in two.values()))
        if lengths:
            total += sum(min(value, two[phrase]) * two[phrase] for phrase, value in one.items() if phrase in two) / lengths
    words = [sum(count for phrase, count in counted.items() if len(phrase) == 1) for counted in (mine, other)]
    return total / LONGEST * math.exp(-((words[0] - words[1]) ** 2) / (2 * DEVIATION**2))
