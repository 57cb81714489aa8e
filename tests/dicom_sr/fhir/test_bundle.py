"""The FHIR Bundle is valid R5, says what the Structured Report says, and says that AI said it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fhir.resources.bundle import Bundle
from pydantic import BaseModel
from pydicom import Dataset

import dicom_sr
from dicom_sr import State, Version
from dicom_sr.fhir import to_fhir
from radiology.finding import Finding
from radiology.judgement import Judged, Judgement, Observer
from radiology.report import Report
from radiology.study import Study
from tests.dicom_sr.reports import STARTED, report_on

READER = Observer("Curie^Marie", "Radium Hospital", "mcurie")


@pytest.fixture(scope="module")
def version(objects: list[Dataset], study: Study) -> Version:
    found = dicom_sr.current(objects, study)
    assert found is not None
    return found


def resources(bundle: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == kind]


def results(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    """The Observations that the report names, in its order."""
    by_url = {entry["fullUrl"]: entry["resource"] for entry in bundle["entry"]}
    (report,) = resources(bundle, "DiagnosticReport")
    return [by_url[reference["reference"]] for reference in report["result"]]


def unknown_codes(model: BaseModel) -> Iterator[str]:
    """Values that a required binding does not have: the models know the bindings (those that end in ``+`` in part), unenforced."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        extra = field.json_schema_extra
        allowed = extra.get("enum_values") if isinstance(extra, dict) else None
        if allowed and "+" not in allowed and value is not None and value not in allowed:
            yield f"{type(model).__name__}.{name} = {value}"
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, BaseModel):
                yield from unknown_codes(each)


def assert_valid(bundle: dict[str, Any]) -> None:
    """R5 by fhir.resources, with its bindings; and every reference leads to an entry or into the resource itself."""
    parsed = Bundle.model_validate_json(json.dumps(bundle))
    assert list(unknown_codes(parsed)) == []
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    assert len(set(urls)) == len(urls)
    assert set(references(bundle)) <= {*urls, "#site"}


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if "reference" in value:
            yield value["reference"]
        value = list(value.values())
    for each in value if isinstance(value, list) else ():
        yield from references(each)


STATES = {
    "preliminary": lambda version: version,
    "final": lambda version: replace(version, state=State.FINAL, verified_by=READER, moment=STARTED + timedelta(hours=1)),
    "amended": lambda version: replace(version, state=State.AMENDED, verified_by=READER, moment=STARTED + timedelta(days=1)),
    "entered-in-error": lambda version: replace(version, state=State.REJECTED),
}


@pytest.mark.parametrize("status", STATES)
def test_the_bundle_is_valid_and_tells_the_state_of_the_report(status: str, version: Version, study: Study) -> None:
    changed = STATES[status](version)
    bundle = to_fhir(changed, study)
    assert_valid(bundle)
    (report,) = resources(bundle, "DiagnosticReport")
    assert {each["status"] for each in (report, *resources(bundle, "Observation"))} == {status}
    (provenance,) = resources(bundle, "Provenance")
    agents = [agent["type"]["coding"][0]["code"] for agent in provenance["agent"]]
    if changed.verified_by:
        assert agents == ["assembler", "verifier"]
        assert report["resultsInterpreter"][0]["display"] == "Marie Curie, Radium Hospital"
        assert "signed by a radiologist" in report["text"]["div"]
    else:
        assert agents == ["assembler"]
        assert "not verified by a radiologist" in report["text"]["div"]


def test_a_replaced_version_is_not_written(version: Version, study: Study) -> None:
    with pytest.raises(ValueError, match="was replaced"):
        to_fhir(replace(version, state=State.REPLACED), study)


def test_the_sentences_are_those_of_the_report_in_its_order(version: Version, study: Study, report: Report) -> None:
    _, *statements = results(to_fhir(version, study))
    assert [each["valueCodeableConcept"]["text"] for each in statements] == [finding.sentence for finding in report.findings]
    assert [each["valueCodeableConcept"]["coding"][0]["display"].lower() for each in statements] == [
        finding.presence for finding in report.findings
    ]
    assert [[note["text"] for note in each.get("note", [])] for each in statements] == [list(finding.flags) for finding in report.findings]


def test_the_boxes_are_those_of_the_structured_report(version: Version, objects: list[Dataset], study: Study) -> None:
    outlines = [
        (item.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID, list(item.GraphicData))
        for item in walk(objects[0])
        if item.get("ValueType") == "SCOORD"
    ]
    selected = [each["instance"][0] for each in resources(to_fhir(version, study), "ImagingSelection")]
    boxes = [(each["uid"], each["imageRegion2D"][0]["coordinate"]) for each in selected if "imageRegion2D" in each]
    assert boxes == outlines


def walk(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence", ()):
        yield child
        yield from walk(child)


def test_every_mask_is_named_by_its_segment(version: Version, objects: list[Dataset], study: Study) -> None:
    segments = {
        (str(each.SOPInstanceUID), str(segment.SegmentNumber), f"urn:oid:{segment.TrackingUID}")
        for each in objects
        if each.Modality == "SEG"
        for segment in each.SegmentSequence
    }
    selections = resources(to_fhir(version, study), "ImagingSelection")
    named = {
        (each["instance"][0]["uid"], each["instance"][0]["subset"][0], each["identifier"][0]["value"])
        for each in selections
        if "imageRegion2D" not in each["instance"][0]
    }
    assert named == segments


def test_everything_is_labelled_as_asserted_by_ai_but_what_a_radiologist_added(study: Study, version: Version) -> None:
    added = Finding("nodule", "A nodule, seen by me.", number=99, judged=Judged(Judgement.ADDED, READER, STARTED))
    report = replace(version.report, findings=(*version.report.findings, added))
    bundle = to_fhir(replace(version, report=report), study)
    labels = [entry["resource"]["meta"]["security"][0]["code"] for entry in bundle["entry"]]
    assert labels.count("CLINAST") == 1
    assert labels.count("AIAST") == len(labels) - 1
    assert results(bundle)[-1]["meta"]["security"][0]["code"] == "CLINAST"
    assert_valid(bundle)


def test_negative_failed_and_partly_read_are_told_apart(study: Study) -> None:
    def written(report: Report) -> tuple[str, str, list[str]]:
        version = dicom_sr.current(dicom_sr.write(study, report), study)
        assert version is not None
        bundle = to_fhir(version, study)
        assert_valid(bundle)
        outcome, *others = results(bundle)
        absent = [each["note"][0]["text"] for each in others if "dataAbsentReason" in each]
        return resources(bundle, "DiagnosticReport")[0]["status"], outcome["valueCodeableConcept"]["coding"][0]["code"], absent

    nothing = report_on(study)
    reason = "Series 1 has uneven slices."
    assert written(nothing) == ("preliminary", "111241", [])
    assert written(replace(nothing, failures=(reason,))) == ("partial", "111243", [reason])
    assert written(replace(nothing, failures=(reason,), is_read=False)) == ("cancelled", "111245", [reason])


def test_no_name_and_no_date_of_birth_is_told(version: Version, study: Study) -> None:
    said = json.dumps(to_fhir(version, study))
    assert "TEST-1" in said
    assert "Synthetic^Patient" not in said
    assert "1960" not in said
