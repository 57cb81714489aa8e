"""FHIR datatypes as JSON values, from what DICOM holds."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from pydicom import Dataset
from pydicom.sr.coding import Code

Resource = dict[str, Any]
"""A resource, or an element of one."""

SYSTEMS = {
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "LN": "http://loinc.org",
    "SCT": "http://snomed.info/sct",
    "UCUM": "http://unitsofmeasure.org",
}
"""URI of each coding scheme; a code of another scheme is written as text."""

_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"


def concept(code: Code) -> Resource:
    """Return a CodeableConcept."""
    system = SYSTEMS.get(code.scheme_designator)
    if system is None:
        return {"text": code.meaning}
    return {"coding": [{"system": system, "code": code.value, "display": code.meaning}]}


def hl7(table: str, code: str, display: str) -> Resource:
    """Return a CodeableConcept of one of HL7's own code systems."""
    return {"coding": [{"system": f"{_TERMINOLOGY}/{table}", "code": code, "display": display}]}


def quantity(value: float, unit: str) -> Resource:
    """Return a Quantity; ``unit`` is a UCUM code."""
    return {"value": value, "unit": unit, "system": SYSTEMS["UCUM"], "code": unit}


def identifier(uid: str) -> Resource:
    """Return an Identifier for a DICOM UID."""
    return {"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}


def sop_class(header: Dataset) -> Resource:
    """Return the Coding of an object's SOP class."""
    return {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{header.SOPClassUID}"}


def instant(moment: datetime) -> str:
    """Return an instant; the moment must have a time zone."""
    return moment.isoformat(timespec="milliseconds")


def study_date(header: Dataset) -> str | None:
    """Return Study Date, if it is one; its time would need a time zone, which few studies name."""
    found = re.fullmatch(r"(\d{4})\.?(\d{2})\.?(\d{2})", str(header.get("StudyDate") or ""))
    return "-".join(found.groups()) if found else None


def asserted_by(who: str) -> Resource:
    """Return a Meta with the label of who asserted a resource: ``AIAST`` artificial intelligence, ``CLINAST`` a clinician."""
    return {"security": [{"system": f"{_TERMINOLOGY}/v3-ObservationValue", "code": who, "display": _ASSERTED_BY[who]}]}


_ASSERTED_BY = {"AIAST": "Artificial Intelligence asserted", "CLINAST": "clinician asserted"}
