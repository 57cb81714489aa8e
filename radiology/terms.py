"""Terms: the names that reports use, with their codes. A name without a code is not in this table; it is written as text only.

Codes are taken from DICOM's own context groups (PS3.16), each looked up there by ``tests/radiology/test_terms.py``;
``REVIEWED`` lists the few that DICOM's subset lacks and that were checked by hand against SNOMED CT.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from radiology.finding import Side

Kind = Literal["structure", "finding", "device"]


class Urgency(StrEnum):
    """How soon a radiologist should see what is stated, where nothing else is known of the patient."""

    CRITICAL = "critical"
    """May kill within the hour (ACR's category 1 of actionable findings)."""
    URGENT = "urgent"
    """Changes what is done today."""
    ROUTINE = "routine"
    """Belongs in the report; may wait for its turn."""
    NONE = "none"
    """A normal structure."""


@dataclass(frozen=True)
class Code:
    """A coded concept: value, coding scheme designator, meaning (PS3.3 8.8)."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class Term:
    """A name of the report.

    Attributes:
        name: what text and code call it, in lower case and without a side.
        kind: a normal structure, an abnormal finding or a device.
        code: the concept for SR Finding and SEG Segmented Property Type.
        site: where it sits, for findings and devices (SR Finding Site, SEG Anatomic Region).
        paired: whether a side belongs to it.
        urgency: of what is stated present or possible; a device is urgent, as one in the wrong place harms at once.
        colour: recommended display colour, sRGB.
    """

    name: str
    kind: Kind
    code: Code
    colour: tuple[int, int, int]
    site: Code | None = None
    paired: bool = False
    urgency: Urgency = Urgency.NONE


COLOUR_WITHOUT_TERM = (200, 200, 200)
LUNG = Code("39607008", "SCT", "Lung")
PLEURA = Code("3120008", "SCT", "Pleura")
MEDIASTINUM = Code("72410000", "SCT", "Mediastinum")
HEART = Code("80891009", "SCT", "Heart")

TERMS: dict[str, Term] = {
    term.name: term
    for term in (
        Term("lung", "structure", LUNG, (114, 182, 255), paired=True),
        Term("mediastinum", "structure", MEDIASTINUM, (224, 164, 88)),
        Term("heart", "structure", HEART, (206, 110, 84)),
        Term("aorta", "structure", Code("15825003", "SCT", "Aorta"), (224, 97, 76)),
        Term("trachea", "structure", Code("44567001", "SCT", "Trachea"), (182, 228, 255)),
        Term("ribs", "structure", Code("113197003", "SCT", "Rib"), (241, 214, 145)),
        Term("liver", "structure", Code("10200004", "SCT", "Liver"), (221, 130, 101)),
        Term("nodule", "finding", Code("27925004", "SCT", "Nodule"), (255, 221, 51), site=LUNG, paired=True, urgency=Urgency.ROUTINE),
        Term("mass", "finding", Code("4147007", "SCT", "Mass"), (255, 170, 0), site=LUNG, paired=True, urgency=Urgency.URGENT),
        Term(
            "pleural effusion",
            "finding",
            Code("60046008", "SCT", "Pleural effusion"),
            (75, 220, 190),
            site=PLEURA,
            paired=True,
            urgency=Urgency.URGENT,
        ),
        Term(
            "pneumothorax",
            "finding",
            Code("36118008", "SCT", "Pneumothorax"),
            (240, 90, 200),
            site=PLEURA,
            paired=True,
            urgency=Urgency.CRITICAL,
        ),
        Term(
            "consolidation",
            "finding",
            Code("95436008", "SCT", "Consolidation"),
            (255, 120, 60),
            site=LUNG,
            paired=True,
            urgency=Urgency.URGENT,
        ),
        Term(
            "ground glass opacity",
            "finding",
            Code("112120", "DCM", "Ground glass opacity"),
            (190, 230, 90),
            site=LUNG,
            paired=True,
            urgency=Urgency.ROUTINE,
        ),
        Term("cardiomegaly", "finding", Code("8186001", "SCT", "Cardiomegaly"), (220, 80, 80), site=HEART, urgency=Urgency.ROUTINE),
        Term("endotracheal tube", "device", Code("26412008", "SCT", "Endotracheal tube"), (0, 200, 255), urgency=Urgency.URGENT),
        Term(
            "central venous catheter", "device", Code("52124006", "SCT", "Central venous catheter"), (80, 120, 255), urgency=Urgency.URGENT
        ),
        Term("nasogastric tube", "device", Code("25062003", "SCT", "Feeding tube"), (150, 90, 255), urgency=Urgency.URGENT),
    )
}

SIDE_CODES: dict[Side, Code] = {
    Side.RIGHT: Code("24028007", "SCT", "Right"),
    Side.LEFT: Code("7771000", "SCT", "Left"),
    Side.BILATERAL: Code("51440002", "SCT", "Bilateral"),
}
"""CID 244 Laterality."""

REVIEWED: frozenset[str] = frozenset({"95436008", "8186001"})
"""SNOMED CT values that DICOM's subset lacks."""


def sides_in(text: str) -> frozenset[Side]:
    """Return the sides that a sentence names; ``both`` and ``bilateral`` name both sides."""
    words = set(re.findall(r"[a-z]+", text.lower()))
    sides = {side for side in (Side.RIGHT, Side.LEFT) if side.value in words}
    if words & {"bilateral", "bilaterally", "both"} or len(sides) == 2:
        return frozenset({Side.RIGHT, Side.LEFT})
    return frozenset(sides)
