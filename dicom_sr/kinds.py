"""The kinds of objects that a reading becomes: which SOP class, which template, and where they stand in a list of series.

Series Numbers are high and fixed, so that a list of series ends with ours, the findings first. A Segmentation is a series of its
own for each source, numbered from ``SEGMENTATION.series_number`` on.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    KeyObjectSelectionDocumentStorage,
    SegmentationStorage,
)

LABEL_MAP_SEGMENTATION_STORAGE = UID("1.2.840.10008.5.1.4.1.1.66.7")
_CAUTION = "not verified, research, not for diagnosis"


@dataclass(frozen=True)
class Kind:
    """One kind of object.

    Attributes:
        name: what it is called in the code.
        sop_classes: the SOP classes that it may have, the usual one first.
        modality: Modality (0008,0060) of its series.
        template: root template of its content (PS3.16); empty where it has no content tree.
        series_number: Series Number, the first one where there may be several series.
        description: Series Description; all versions in a series have the same one.
    """

    name: str
    sop_classes: tuple[UID, ...]
    modality: str
    template: str
    series_number: int
    description: str


FINDINGS = Kind("findings", (Comprehensive3DSRStorage, ComprehensiveSRStorage), "SR", "1500", 9001, f"AI findings - {_CAUTION}")
DRAFT = Kind("draft", (ComprehensiveSRStorage,), "SR", "2000", 9002, f"AI draft report - {_CAUTION}")
MEASUREMENTS = Kind("measurements", (Comprehensive3DSRStorage, ComprehensiveSRStorage), "SR", "1500", 9003, f"AI measurements - {_CAUTION}")
FAILURE = Kind("failure", (Comprehensive3DSRStorage, ComprehensiveSRStorage), "SR", "1500", 9004, f"AI could not read - {_CAUTION}")
SEGMENTATION = Kind("segmentation", (SegmentationStorage, LABEL_MAP_SEGMENTATION_STORAGE), "SEG", "", 9101, f"AI segmentation - {_CAUTION}")
REJECTION = Kind("rejection", (KeyObjectSelectionDocumentStorage,), "KO", "2010", 9901, "AI results rejected - do not use")

KINDS = (FINDINGS, DRAFT, MEASUREMENTS, FAILURE, SEGMENTATION, REJECTION)
