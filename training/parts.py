"""Labels of what an image shows: a term of the report, with its side where it is paired ("right lung", "left nodule", "heart")."""

from __future__ import annotations

from radiology.terms import TERMS

PARTS = ("right lung", "left lung", *(name for name in TERMS if name != "lung"))
"""What the auxiliary coverage loss tells apart: each lung, and every other term without its side."""

POSITIVE = tuple(8.0 if name in TERMS and TERMS[name].kind == "finding" else 1.0 for name in PARTS)
"""How much more the coverage loss counts the image tokens that a part lies on: findings are rare and small."""

LABELS = tuple(label for name, term in TERMS.items() for label in ((f"right {name}", f"left {name}") if term.paired else (name,)))
"""All that a mask can show, with its side where it has one."""


def name_of(label: str) -> str:
    """The term of a label, without its side."""
    return label.removeprefix("right ").removeprefix("left ")


def part_index(label: str) -> int:
    """Index in ``PARTS`` of a label such as "left nodule"."""
    return PARTS.index(label) if label in PARTS else PARTS.index(name_of(label))


def is_finding(label: str) -> bool:
    """Whether a label names a finding rather than a structure."""
    return TERMS[name_of(label)].kind == "finding"
