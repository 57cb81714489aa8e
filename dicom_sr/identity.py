"""Who made an object, and which object it is.

UIDs follow from what went in, so that a report written twice is the same objects twice and an archive stores nothing new;
another model, other images, another configuration or a later version give other objects. All objects of one reading share its
mark: the device, and the moment at which it began (:func:`reading_of`).
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib.metadata import version
from typing import Any

import highdicom as hd
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.valuerep import DT

from dicom_sr.kinds import FAILURE, FINDINGS, KINDS, REJECTION, SEGMENTATION, Kind
from radiology.judgement import Judged
from radiology.report import ModelIdentity, Report
from radiology.settings import ResultSettings
from radiology.study import digest
from radiology.verdict import Decision

MANUFACTURER = "Sightline"
SOP_CLASSES = frozenset(str(uid) for kind in KINDS for uid in kind.sop_classes)
MODALITIES = frozenset(kind.modality for kind in KINDS)
_DECIMALS = 6
_PATIENT_AND_STUDY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
"""Attributes of Type 2 in every object (PS3.3 C.7.1.1, C.7.2.1)."""


def is_ours(dataset: Dataset) -> bool:
    """Whether an object is one of our results: of a kind and class that we write, with our Manufacturer (0008,0070).

    Takes a whole object, its header, or a QIDO-RS answer; of the latter it needs Manufacturer (ask for it with
    ``includefield``) and either SOP Class UID or Modality.
    """
    is_result = str(dataset.get("SOPClassUID", "")) in SOP_CLASSES or str(dataset.get("Modality", "")) in MODALITIES
    return is_result and str(dataset.get("Manufacturer", "")) == MANUFACTURER


def kind_of(dataset: Dataset) -> Kind:
    """Return the kind of one of our objects. The Series Number tells documents of one SOP class apart."""
    modality = dataset.get("Modality")
    if modality == SEGMENTATION.modality:
        return SEGMENTATION
    if modality == REJECTION.modality:
        return REJECTION
    return next((kind for kind in KINDS if kind.series_number == int(dataset.get("SeriesNumber") or 0)), FINDINGS)


def reading_of(dataset: Dataset) -> tuple[str, str]:
    """Return what all objects of one reading share: the Device UID of the model and the moment at which the reading began."""
    item = own_equipment(dataset)
    return str(item.DeviceUID), str(item.ContributionDateTime)


def own_equipment(dataset: Dataset) -> Dataset:
    """Return our own item of Contributing Equipment (PS3.3 C.12.1); ``KeyError`` where there is none."""
    equipment: Sequence[Dataset] = dataset.get("ContributingEquipmentSequence") or ()
    for item in equipment:
        if item.get("Manufacturer") == MANUFACTURER:
            return item
    raise KeyError("no contributing equipment of ours")


def software() -> str:
    """Return what Software Versions (0018,1020) calls this release."""
    return f"{MANUFACTURER} {version('sightline')}"


def derive_uid(*parts: str) -> str:
    """Return the UID of these parts: ``2.25.`` and a UUID (PS3.5 B.2) from their SHA-256."""
    # Joined by a character that no UID, hash or name has, so that ("ab", "c") is not ("a", "bc").
    hashed = hashlib.sha256("\0".join(parts).encode()).digest()
    return f"2.25.{uuid.UUID(bytes=hashed[:16], version=5).int}"


def device_uid(model: ModelIdentity) -> str:
    """Return the Device UID of a model: other weights are another device (IHE AIR 6.5.3.1)."""
    return derive_uid("device", model.weights_hash)


def tracking_identifier(number: int, place: int | None = None) -> str:
    """Return the Tracking Identifier of a sentence of the report or of one of its places, both counted from 1."""
    return f"Finding {number}" if place is None else f"Finding {number}, place {place}"


def as_written(report: Report) -> Report:
    """Return the report as its objects carry it: what ``read`` gives back for what ``write`` got.

    Each sentence has a number, each region a Tracking UID; those that there are stay. Certainties are rounded to six decimals,
    which is what their decimal strings in percent hold.
    """
    free = max((finding.number for finding in report.findings), default=0)
    free = max([free, *(rejection.number for rejection in report.rejected)])
    findings = []
    for finding in report.findings:
        number = finding.number
        if not number:
            number = free = free + 1
        # A place that a person drew is another one than what the model had there.
        drawn = _who(finding.judged) if finding.judged else ()
        regions = tuple(
            replace(
                region,
                score=round(region.score, _DECIMALS),
                tracking_uid=region.tracking_uid or derive_uid("region", *_inputs(report), str(number), str(place), *drawn),
            )
            for place, region in enumerate(finding.regions)
        )
        findings.append(replace(finding, number=number, confidence=round(finding.confidence, _DECIMALS), regions=regions))
    return replace(report, findings=tuple(findings))


def _who(decision: Judged | Decision) -> tuple[str, ...]:
    return decision.observer.name, decision.observer.organization, decision.observer.login, decision.moment.isoformat()


def to_percent(certainty: float) -> float:
    """Return a certainty (0 to 1) in percent."""
    return round(certainty * 100, _DECIMALS - 2)


def from_percent(percent: float) -> float:
    """Return a percentage as certainty, 0 to 1."""
    return round(percent / 100, _DECIMALS)


def _inputs(report: Report) -> tuple[str, ...]:
    read = (report.study_uid, digest(report.instance_uids), device_uid(report.model), report.model.configuration)
    # What could not be read counts too: a second try that reads more is another result.
    return (*read, str(report.is_read), *report.failures)


def without_identity(header: Dataset) -> Dataset:
    """Return a copy of a header whose patient and study attributes are empty.

    For highdicom, which wants them all of the first image and parses them: :func:`stamp` takes over what the modality sent.
    """
    return changed(header, dict.fromkeys(_PATIENT_AND_STUDY))


def changed(header: Dataset, values: Mapping[str, Any]) -> Dataset:
    """Return a shallow copy of a header with other values for these keywords."""
    copy = Dataset()
    copy.update(header)
    for keyword, value in values.items():
        # Deleted first: the copy shares its elements with the header, and assigning to an element changes both.
        if keyword in copy:
            del copy[keyword]
        setattr(copy, keyword, value)
    return copy


def stamp(instance: hd.SOPClass, source: Dataset, character_set: str | list[str]) -> None:
    """Give a new object its patient, study and times; highdicom's own clock would make each copy differ."""
    instance.SpecificCharacterSet = character_set
    instance.copy_patient_and_study_information(source)
    instance.InstanceCreationDate = instance.ContentDate
    instance.InstanceCreationTime = instance.ContentTime
    if "TimezoneOffsetFromUTC" in source:
        instance.TimezoneOffsetFromUTC = source.TimezoneOffsetFromUTC


def at_source(moment: datetime, source: Dataset) -> datetime:
    """Return the moment in the time zone of the study's own times, or in its own where the study does not say."""
    try:
        return moment.astimezone(datetime.strptime(str(source.get("TimezoneOffsetFromUTC", "")), "%z").tzinfo)
    except ValueError:
        return moment


def character_set(source: Dataset, texts: Sequence[str]) -> str | list[str]:
    """Return the source's Specific Character Set, so that its names keep their bytes, unless our words need Unicode."""
    declared: str | Sequence[str] | None = source.get("SpecificCharacterSet")
    if not declared or not all(text.isascii() for text in texts):
        return "ISO_IR 192"
    return declared if isinstance(declared, str) else [str(value) for value in declared]


@dataclass(frozen=True)
class Maker:
    """What all objects of one report share: who made them, from what, and when.

    Attributes:
        report: the report that is written.
        source: header of the image whose patient and study the objects take over.
        character_set: Specific Character Set of the objects.
        settings: which objects are wanted, and of which class.
        replaces: documents of earlier readings whose place these objects take.
        newest: the newest object of this reading in each series, by the name that ``uid`` is asked with; empty at first.
        decision: what made this version; None for the model's own.
    """

    report: Report
    source: Dataset
    character_set: str | list[str]
    settings: ResultSettings
    replaces: tuple[Dataset, ...] = ()
    newest: Mapping[str, Dataset] = field(default_factory=dict)
    decision: Decision | None = None

    def uid(self, name: str) -> str:
        """Return the UID for a name, for example ``findings instance``."""
        # The releases count, as they decide the bytes: one UID never names two different objects.
        forms = str(self.settings.comprehensive_3d), str(self.settings.label_maps)
        return derive_uid(name, *_inputs(self.report), version("sightline"), version("highdicom"), *forms, *self._version)

    def attributes(self, name: str, series_number: int, description: str) -> dict[str, Any]:
        """Return the arguments that highdicom's constructors of SR and SEG share.

        The first object of a name is the first of a series of its own; a later version follows the newest in its series.
        """
        model, before = self.report.model, self.newest.get(name)
        moment = at_source(self.decision.moment if self.decision else self.report.started, self.source)
        return {
            "series_instance_uid": str(before.SeriesInstanceUID) if before else self.uid(f"{name} series"),
            "series_number": int(before.SeriesNumber) if before else series_number,
            "sop_instance_uid": self.uid(f"{name} instance"),
            "instance_number": int(before.InstanceNumber) + 1 if before else 1,
            "series_description": description,
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": model.name,
            "software_versions": [self.report.model.version, software()],
            "device_serial_number": model.weights_hash,
            "contributing_equipment": [self._equipment()],
            "content_qualification": hd.ContentQualificationValues.RESEARCH,
            "content_date": moment.date(),
            "content_time": moment.time(),
            "specific_character_set": "ISO_IR 192",  # highdicom knows few; :func:`stamp` writes the right one
        }

    def stamp(self, instance: hd.SOPClass) -> None:
        """Give a new object its patient, study and times."""
        stamp(instance, self.source, self.character_set)
        for equipment in instance.ContributingEquipmentSequence:
            if "ContributionDateTime" in equipment:
                equipment.ContributionDateTime = DT(self.report.started)

    def predecessors(self, kind: Kind) -> list[Dataset]:
        """Return the documents that the new one of this kind takes the place of."""
        if kind.name in self.newest:
            return [self.newest[kind.name]]
        replaced = {kind, FAILURE} if kind is FINDINGS else {kind}
        return [document for document in self.replaces if kind_of(document) in replaced]

    def _equipment(self) -> hd.ContributingEquipment:
        model = self.report.model
        equipment = hd.ContributingEquipment(
            manufacturer=MANUFACTURER,
            purpose_of_reference=codes.DCM.ProcessingEquipment,
            manufacturer_model_name=model.name,
            software_versions=[self.report.model.version, software()],
            device_serial_number=model.weights_hash,
            # The one place for an instant with its time zone: Timezone Offset From UTC would claim it for the study's times too.
            contribution_datetime=DT(self.report.started),
            contribution_description="Artificial intelligence, investigational, not for diagnosis",
        )
        equipment.DeviceUID = device_uid(model)
        return equipment

    @property
    def _version(self) -> tuple[str, ...]:
        return () if self.decision is None else _who(self.decision)
