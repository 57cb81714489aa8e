"""The Bundle: the same sentences in the same order, and the same boxes, as in the Structured Report.

    DiagnosticReport     state, impression, what was withheld; its results are, in this order:
      Observation        how the reading ended (111017)
      Observation        one per sentence: what is stated of what, certainty, flags
        ImagingSelection one per place: the box on the image that the Structured Report opens, and the segment with the mask
        Observation      one per measurement of a place
      Observation        one per part that could not be read, without a value
    Device               the model
    ImagingStudy         the study and its series
    Provenance           who made it, and who signed it

R5, as earlier releases have no ImagingSelection and so no place for a box. What AI asserted carries the security label AIAST,
signed or not; what a radiologist added carries CLINAST. Patient and order are named by their identifiers alone. A later version
of a report is the same resources with other content.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from html import escape
from typing import Any

from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from dicom_sr.codes import PRESENCE_CODES, QUANTITY_CODES, to_dicom
from dicom_sr.fhir.datatypes import Resource, asserted_by, concept, hl7, identifier, instant, quantity, sop_class, study_date
from dicom_sr.findings import outcome_code
from dicom_sr.identity import MANUFACTURER, derive_uid, device_uid, kind_of, to_percent
from dicom_sr.kinds import SEGMENTATION
from dicom_sr.versions import State, Version
from radiology.finding import Finding, Region
from radiology.judgement import Judgement
from radiology.measurement import UNITS, Measurement
from radiology.report import Outcome
from radiology.study import Study
from radiology.terms import SIDE_CODES, TERMS

_STATUS = {
    State.PRELIMINARY: "preliminary",
    State.FINAL: "final",
    State.AMENDED: "amended",
    State.REJECTED: "entered-in-error",
}
_PROCEDURE_FINDINGS = Code("59776-5", "LN", "Procedure findings")
_IMAGING_STUDY = Code("18748-4", "LN", "Diagnostic imaging study")
_RADIOLOGY = Code("LP29684-5", "LN", "Radiology")


def to_fhir(version: Version, study: Study) -> Resource:
    """Return a report as a FHIR R5 Bundle of type ``collection``, as JSON values.

    Args:
        version: the one in force, or a rejected one.
        study: the study it is about; headers suffice.

    Raises:
        ValueError: the version was replaced; the newest has its place in FHIR.
        StudyError: a place lies in a series that the study does not have.
    """
    if version.state not in _STATUS:
        raise ValueError(f"Version {version.document_uid} was replaced; write the one in force.")
    return _Bundle(version, study).resource()


class _Bundle:
    """The entries so far, and what all of them refer to."""

    def __init__(self, version: Version, study: Study) -> None:
        self._version = version
        self._report = version.report
        self._study = study
        self._source = study.series[0].instances[0]
        self._entries: list[Resource] = []

    def resource(self) -> Resource:
        report, version = self._report, self._version
        self._images = self._add("study", self._imaging_study())
        self._device = self._add("device", self._model())
        results = [self._add("outcome", self._outcome())]
        results += [self._statement(finding) for finding in report.findings]
        results += [self._failure(number, sentence) for number, sentence in enumerate(report.failures, 1)]
        document = self._add("report", self._diagnostic_report(results))
        self._add("provenance", self._provenance(document))
        return {
            "resourceType": "Bundle",
            "meta": asserted_by("AIAST"),
            "identifier": identifier(version.document_uid),
            "type": "collection",
            "timestamp": instant(version.moment),
            "entry": self._entries,
        }

    def _add(self, name: str, resource: Resource, label: str = "AIAST") -> Resource:
        """Add a resource without its empty elements, which FHIR forbids, and return a reference to it."""
        uid = derive_uid("fhir", str(self._version.objects[0].SeriesInstanceUID), name)
        url = f"urn:uuid:{uuid.UUID(int=int(uid.removeprefix('2.25.')))}"
        kept = {key: value for key, value in resource.items() if value not in (None, "", [], {})}
        self._entries.append({"fullUrl": url, "resource": {**kept, "meta": asserted_by(label)}})
        return {"reference": url, "type": resource["resourceType"]}

    def _diagnostic_report(self, results: list[Resource]) -> Resource:
        report, version = self._report, self._version
        status = _STATUS[version.state]
        if version.state is State.PRELIMINARY and report.outcome in (Outcome.PARTLY_READ, Outcome.NOT_READ):
            status = "partial" if report.is_read else "cancelled"
        accession = str(self._source.get("AccessionNumber") or "")
        return {
            "resourceType": "DiagnosticReport",
            "text": self._narrative(),
            "identifier": [identifier(version.document_uid)],
            "basedOn": [{"type": "ServiceRequest", "identifier": {"value": accession}}] if accession else [],
            "status": status,
            "category": [concept(_RADIOLOGY)],
            "code": concept(_IMAGING_STUDY),
            "subject": self._subject(),
            "effectiveDateTime": study_date(self._source),
            "issued": instant(version.moment),
            "resultsInterpreter": self._verifier(),
            "result": results,
            "note": [{"text": f"Withheld: {sentence}"} for sentence in report.withheld],
            "study": [self._images],
            "conclusion": report.impression,
        }

    def _outcome(self) -> Resource:
        name = concept(codes.DCM.CADProcessingAndFindingsSummary)
        return self._observation(name, valueCodeableConcept=concept(outcome_code(self._report)))

    def _statement(self, finding: Finding) -> Resource:
        """``Pneumothorax = Absent``, with the sentence as the words of the value: never a finding without its presence."""
        term = TERMS.get(finding.name)
        name = f"finding {finding.number}"
        is_added = finding.judged is not None and finding.judged.judgement is Judgement.ADDED
        label = "CLINAST" if is_added else "AIAST"
        places, measured = [], []
        for number, region in enumerate(finding.regions, 1):
            place = f"{name}, place {number}"
            selections = [self._add(f"{place}, {index}", each, label) for index, each in enumerate(self._selections(region))]
            places += selections
            measured += [
                self._add(f"{place}, {each.quantity}", self._measurement(each, finding, selections)) for each in region.measurements
            ]
        certainty = {"code": concept(codes.DCM.CertaintyOfFinding), "valueQuantity": quantity(to_percent(finding.confidence), "%")}
        statement = self._observation(
            concept(to_dicom(term.code) if term else _PROCEDURE_FINDINGS),
            finding,
            valueCodeableConcept={**concept(PRESENCE_CODES[finding.presence]), "text": finding.sentence},
            note=[{"text": flag} for flag in finding.flags],
            hasMember=measured,
            derivedFrom=[self._images, *places],
            component=[] if is_added else [certainty],
        )
        return self._add(name, statement, label)

    def _measurement(self, measurement: Measurement, finding: Finding, selections: list[Resource]) -> Resource:
        value = quantity(measurement.value, UNITS[measurement.quantity])
        return self._observation(concept(QUANTITY_CODES[measurement.quantity]), finding, derivedFrom=selections, valueQuantity=value)

    def _failure(self, number: int, sentence: str) -> Resource:
        absent = self._observation(
            concept(_PROCEDURE_FINDINGS),
            status="cancelled",
            dataAbsentReason=hl7("data-absent-reason", "error", "Error"),
            note=[{"text": sentence}],
        )
        return self._add(f"failure {number}", absent)

    def _observation(self, code: Resource, finding: Finding | None = None, **elements: Any) -> Resource:
        return {
            "resourceType": "Observation",
            "status": _STATUS[self._version.state],
            "category": [hl7("observation-category", "imaging", "Imaging")],
            "code": code,
            "subject": self._subject(),
            "effectiveDateTime": study_date(self._source),
            "issued": instant(self._version.moment),
            "derivedFrom": [self._images],
            "device": self._device,
            **(self._site(finding) if finding else {}),
            **elements,
        }

    def _site(self, finding: Finding) -> Resource:
        """Where the finding sits: a code, or a contained structure where a side belongs to it."""
        term = TERMS.get(finding.name)
        if term is None:
            return {}
        site = concept(to_dicom(term.site or term.code))
        if finding.side is None:
            return {"bodySite": site}
        structure = {
            "resourceType": "BodyStructure",
            "id": "site",
            "includedStructure": [{"structure": site, "laterality": concept(to_dicom(SIDE_CODES[finding.side]))}],
            "patient": self._subject(),
        }
        return {"contained": [structure], "bodyStructure": {"reference": "#site"}}

    def _selections(self, region: Region) -> Iterator[Resource]:
        """The box on its key image, and the segment where there is a mask."""
        series = self._study.find_series(region.series_uid)
        frame = series.frames[region.key_slice]
        (_, top, left), (_, bottom, right) = region.box.start, region.box.stop
        # As in an SCOORD: column and row, 0\0 the corner of the first pixel, closed.
        outline = {"regionType": "polyline", "coordinate": [left, top, right, top, right, bottom, left, bottom, left, top]}
        image = {"uid": frame.uid, "sopClass": sop_class(frame.header), "imageRegion2D": [outline]}
        if frame.number:
            image["subset"] = [str(frame.number)]
        yield self._selection(codes.DCM.ImageRegion, region, series.series_uid, image)
        for segmentation, number in self._segments(region):
            segment = {"uid": str(segmentation.SOPInstanceUID), "sopClass": sop_class(segmentation), "subset": [str(number)]}
            yield self._selection(codes.DCM.ReferencedSegment, region, str(segmentation.SeriesInstanceUID), segment)

    def _selection(self, code: Code, region: Region, series_uid: str, instance: Resource) -> Resource:
        return {
            "resourceType": "ImagingSelection",
            "identifier": [identifier(region.tracking_uid)],
            "status": "entered-in-error" if self._version.state is State.REJECTED else "available",
            "subject": self._subject(),
            "code": concept(code),
            "studyUid": self._report.study_uid,
            "derivedFrom": [self._images],
            "seriesUid": series_uid,
            "instance": [instance],
        }

    def _segments(self, region: Region) -> Iterator[tuple[Dataset, int]]:
        for instance in self._version.objects:
            for segment in instance.SegmentSequence if kind_of(instance) is SEGMENTATION else ():
                if segment.get("TrackingUID") == region.tracking_uid:
                    yield instance, int(segment.SegmentNumber)

    def _imaging_study(self) -> Resource:
        return {
            "resourceType": "ImagingStudy",
            "identifier": [identifier(self._study.study_uid)],
            "status": "available",
            "subject": self._subject(),
            "started": study_date(self._source),
            "series": [
                {
                    "uid": series.series_uid,
                    "modality": concept(Code(series.modality, "DCM", series.modality)),
                    "numberOfInstances": len(series.instances),
                }
                for series in self._study.series
            ],
        }

    def _model(self) -> Resource:
        model = self._report.model
        return {
            "resourceType": "Device",
            "identifier": [identifier(device_uid(model))],
            "manufacturer": MANUFACTURER,
            "serialNumber": model.weights_hash,
            "modelNumber": model.name,
            "version": [{"value": model.version}],
            "type": [concept(codes.DCM.ArtificialIntelligence)],
        }

    def _provenance(self, document: Resource) -> Resource:
        agents = [{"type": hl7("provenance-participant-type", "assembler", "Assembler"), "who": self._device}]
        agents += [{"type": hl7("provenance-participant-type", "verifier", "Verifier"), "who": who} for who in self._verifier()]
        return {"resourceType": "Provenance", "target": [document], "recorded": instant(self._version.moment), "agent": agents}

    def _subject(self) -> Resource:
        patient, issuer = (str(self._source.get(keyword) or "") for keyword in ("PatientID", "IssuerOfPatientID"))
        if not patient:
            return {"type": "Patient", "display": "The patient of the imaging study"}
        assigner = {"assigner": {"display": issuer}} if issuer else {}
        return {"type": "Patient", "identifier": {"value": patient, **assigner}}

    def _verifier(self) -> list[Resource]:
        """Who signed the report; empty where nobody has."""
        observer = self._version.verified_by
        if observer is None:
            return []
        name = " ".join(part for part in reversed(observer.name.split("^")[:2]) if part)
        return [{"type": "Practitioner", "display": f"{name}, {observer.organization}"}]

    def _narrative(self) -> Resource:
        """The report for people, its state first."""
        report = self._report
        state = "signed by a radiologist" if self._version.verified_by else "not verified by a radiologist"
        paragraphs = [f"Made by AI. Investigational, {state}, not for diagnosis.", *report.failures, report.impression]
        text = "".join(f"<p>{escape(words)}</p>" for words in paragraphs if words)
        sentences = "".join(f"<li>{escape(finding.sentence)}</li>" for finding in report.findings)
        listed = f"<ol>{sentences}</ol>" if sentences else ""
        return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{text}{listed}</div>'}
