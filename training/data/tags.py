"""Three tags for every sample: modality, task and anatomical region (Citrus-V Table 2, labels word for word), by rules.

Tags are for counting and for finding what is rare. DICOM's Modality gives the first; what no rule knows is ``Other``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Modality = Literal[
    "Histopathology",
    "CT",
    "X-Ray",
    "MRI",
    "NIR",
    "Ultrasound",
    "Microscopy",
    "OCT",
    "Dermoscopy",
    "Photograph",
    "Endoscopy",
    "Fundus",
    "Other",
]
TaskTag = Literal[
    "Examination Selection",
    "Report Analysis",
    "Prior Comparison",
    "Modality Recognition",
    "Organ Recognition",
    "Image Description",
    "Report Generation",
    "Lesion Localization",
    "Differential Diagnosis",
    "Symptoms Inference",
    "Treatment Generation",
    "Treatment Selection",
    "Treatment Details",
    "Basic",
    "Other",
]
Region = Literal[
    "Abdomen",
    "Chest",
    "Brain",
    "Neck",
    "Cell",
    "Lower Limb",
    "Upper Limb",
    "Oral Cavity",
    "Eye",
    "Breast",
    "Gastrointestinal Tract",
    "Pelvis",
    "Foot",
    "Joint",
    "Other",
]
MODALITIES: tuple[Modality, ...] = get_args(Modality)
TASKS: tuple[TaskTag, ...] = get_args(TaskTag)
REGIONS: tuple[Region, ...] = get_args(Region)

_DICOM_MODALITIES: Mapping[str, Modality] = {
    "SM": "Histopathology",
    "CT": "CT",
    "CR": "X-Ray",
    "DX": "X-Ray",
    "MG": "X-Ray",
    "RF": "X-Ray",
    "XA": "X-Ray",
    "PX": "X-Ray",
    "IO": "X-Ray",
    "MR": "MRI",
    "US": "Ultrasound",
    "IVUS": "Ultrasound",
    "GM": "Microscopy",
    "OPT": "OCT",
    "IVOCT": "OCT",
    "DMS": "Dermoscopy",
    "XC": "Photograph",
    "ES": "Endoscopy",
    "OP": "Fundus",
}
"""Defined terms of Modality (PS3.3 C.7.3.1.1.1)."""


def _rule(words: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{words})\b", re.IGNORECASE)


_LESION = r"nodules?|mass(?:es)?|lesions?|tumou?rs?|effusions?|pneumothorax|consolidations?|opacit(?:y|ies)|fractures?|cardiomegaly|cysts?"
_TASK_RULES: tuple[tuple[TaskTag, re.Pattern[str]], ...] = (
    ("Report Generation", _rule(r"(?:compile|write|generate|draft) (?:a|the|an) (?:\w+ )?report")),
    ("Modality Recognition", _rule(r"(?:which|what) (?:imaging )?(?:modality|view|plane)|kind of (?:image|scan)")),
    ("Prior Comparison", _rule(r"prior|previous|compared? (?:to|with)|interval change")),
    ("Report Analysis", _rule(r"(?:this|the|following) (?:\w+ )?report")),
    ("Examination Selection", _rule(r"which (?:test|examination|study|scan) (?:should|would|is)|next (?:test|examination)")),
    ("Treatment Details", _rule(r"dos(?:e|age)|side effects?|contraindications?")),
    ("Treatment Selection", _rule(r"which (?:treatment|therapy|drug|medication)")),
    ("Treatment Generation", _rule(r"treat(?:ment|ed)?|therapy|manage(?:ment|d)?")),
    ("Differential Diagnosis", _rule(r"differential|diagnos[ie]s|most likely cause")),
    ("Symptoms Inference", _rule(r"symptoms?|complain(?:t|s)?")),
    (
        "Lesion Localization",
        _rule(rf"(?:segment|outline|highlight|delineate|mark|locate|detect|where|which side|which zone|show me)\b.*\b(?:{_LESION})"),
    ),
    (
        "Organ Recognition",
        _rule(r"segment|outline|highlight|delineate|mark|locate|detect|show me|where is|which (?:organ|part of the body)"),
    ),
    ("Image Description", _rule(r"is there|are there|describe|shown?|seen|findings?")),
    ("Basic", _rule(r"what is|define|explain|function of")),
)
"""The first rule that fits names the task."""
_REGION_RULES: tuple[tuple[Region, re.Pattern[str]], ...] = (
    ("Chest", _rule(r"chest|thora\w*|lungs?|pleura\w*|mediastin\w*|heart|cardi\w*|ribs?|pneumothorax|pulmonary")),
    ("Breast", _rule(r"breasts?|mammo\w*")),
    ("Brain", _rule(r"brain|cerebr\w*|head|skull|intracranial")),
    ("Eye", _rule(r"eyes?|retina\w*|fundus|optic|macula\w*")),
    ("Oral Cavity", _rule(r"oral|teeth|tooth|jaw|mouth|tongue")),
    ("Neck", _rule(r"neck|thyroid|cervical|larynx")),
    ("Gastrointestinal Tract", _rule(r"colon\w*|bowel|gastr\w*|stomach|o?esophag\w*|rectum|intestin\w*")),
    ("Abdomen", _rule(r"abdom\w*|liver|hepat\w*|kidneys?|renal|spleen|pancrea\w*|gall ?bladder")),
    ("Pelvis", _rule(r"pelvi\w*|prostate|uter\w*|ovar\w*|bladder")),
    ("Joint", _rule(r"joints?|knees?|shoulders?|hips?|elbows?|wrists?")),
    ("Foot", _rule(r"foot|feet|ankles?|toes?")),
    ("Lower Limb", _rule(r"legs?|tibia|fibula|femur|thighs?|extremity lower")),
    ("Upper Limb", _rule(r"arms?|hands?|humerus|radius|ulna|fingers?")),
    ("Cell", _rule(r"cells?|cytolog\w*|smear")),
)


@dataclass(frozen=True)
class Tags:
    """One tag of each dimension."""

    modality: Modality
    task: TaskTag
    region: Region


def tag(instruction: str, dicom_modality: str, body_part: str = "") -> Tags:
    """Tag one sample.

    Args:
        instruction: what is asked of the image.
        dicom_modality: the image's Modality (0008,0060).
        body_part: the image's Body Part Examined (0018,0015); decides before the words of the instruction do.
    """
    modality = _DICOM_MODALITIES.get(dicom_modality, "Other")
    task: TaskTag = next((name for name, rule in _TASK_RULES if rule.search(instruction)), "Other")
    regions = (name for words in (body_part, instruction) for name, rule in _REGION_RULES if rule.search(words))
    return Tags(modality, task, next(regions, "Other"))
