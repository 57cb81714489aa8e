"""Coded concepts that our objects use beside the terms of the report, and the way between the two kinds of code."""

from __future__ import annotations

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code as DicomCode

from radiology.finding import Presence, Side
from radiology.measurement import Quantity
from radiology.terms import SIDE_CODES, TERMS, Code, Term

PRESENCE = DicomCode("705057003", "SCT", "Presence")
GEOMETRIC_PURPOSE = DicomCode("75958009", "SCT", "Bounded by")
"""CID 219 Geometry Graphical Representation."""
QUALITATIVE_EVALUATIONS = DicomCode("C0034375", "UMLS", "Qualitative Evaluations")
LATERALITY = DicomCode("272741003", "SCT", "Laterality")
VERDICT = DicomCode("110007", "DCM", "Report Verification")
FAILED = DicomCode("111024", "DCM", "Failed Analyses")

LOCAL_SCHEME = CodingSchemeIdentificationItem("99SIGHTLINE", name="Sightline", responsible_organization="Sightline")
"""Our own scheme (PS3.16 8.2), for what no published scheme that we could check has a code for."""

PRESENCE_CODES: dict[Presence, DicomCode] = {
    Presence.PRESENT: DicomCode("52101004", "SCT", "Present"),
    Presence.ABSENT: DicomCode("272519000", "SCT", "Absent"),
    Presence.UNDETERMINED: DicomCode("373068000", "SCT", "Undetermined"),
}
"""CID 240 Present-Absent-Undetermined."""

MODALITY_CODES: dict[str, DicomCode] = {
    "CT": DicomCode("CT", "DCM", "Computed Tomography"),
    "MR": DicomCode("MR", "DCM", "Magnetic Resonance"),
    "CR": DicomCode("CR", "DCM", "Computed Radiography"),
    "DX": DicomCode("DX", "DCM", "Digital Radiography"),
}
"""CID 29 Acquisition Modality."""

CATEGORY_CODES: dict[str, DicomCode] = {
    "structure": codes.SCT.AnatomicalStructure,
    "finding": codes.SCT.MorphologicallyAbnormalStructure,
    "device": codes.SCT.PhysicalObject,
    "": codes.SCT.SpatialAndRelationalConcept,
}
"""CID 7150 Segmentation Property Categories, by the kind of a term; the last where a sentence has no term."""


QUANTITY_CODES: dict[Quantity, DicomCode] = {
    Quantity.AREA: codes.SCT.Area,
    Quantity.VOLUME: codes.SCT.Volume,
    Quantity.LONG_AXIS: codes.SCT.LongAxis,
    Quantity.SHORT_AXIS: codes.SCT.ShortAxis,
    Quantity.CARDIOTHORACIC_RATIO: DicomCode("CTR", "99SIGHTLINE", "Cardiothoracic ratio"),
}
"""CID 7469 Generic Intensity and Size Measurements, and the one of ours."""

UNIT_CODES: dict[str, DicomCode] = {
    "mm": codes.UCUM.Millimeter,
    "mm2": codes.UCUM.SquareMillimeter,
    "cm3": codes.UCUM.CubicCentimeter,
    "1": codes.UCUM.NoUnits,
}
"""Units of radiology.measurement.UNITS."""


def to_dicom(code: Code) -> DicomCode:
    """Return a code of :mod:`radiology.terms` as pydicom and highdicom want it."""
    return DicomCode(code.value, code.scheme, code.meaning)


def find_term(code: Dataset) -> Term | None:
    """Return the term with this code item (PS3.3 8.8), or None."""
    return next((term for term in TERMS.values() if means(code, to_dicom(term.code))), None)


def find_side(code: Dataset) -> Side | None:
    """Return the side with this code item, or None."""
    return next((side for side, value in SIDE_CODES.items() if means(code, to_dicom(value))), None)


def find_presence(code: Dataset) -> Presence | None:
    """Return the presence with this code item, or None."""
    return next((presence for presence, value in PRESENCE_CODES.items() if means(code, value)), None)


def means(code: Dataset, concept: DicomCode) -> bool:
    """Whether a code item is this concept; meanings are for people and do not count."""
    return (str(code.CodeValue), str(code.CodingSchemeDesignator)) == (concept.value, concept.scheme_designator)


def find_schemes(item: Dataset) -> set[str]:
    """Return the coding schemes used by an item of content and all below it."""
    return {str(element.value) for element in item.iterall() if element.keyword == "CodingSchemeDesignator"}
