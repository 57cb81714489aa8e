"""Who made an object, and which object it is.

UIDs follow from what went in, so that a report written twice is the same objects twice and an archive stores nothing new;
another model, other images, another configuration or a later revision give other objects.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from typing import Any

import highdicom as hd
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import Comprehensive3DSRStorage, SegmentationStorage
from pydicom.valuerep import DT

from radiology.report import ModelIdentity, Report
from radiology.study import digest

MANUFACTURER = "Sightline"
SOP_CLASSES = frozenset({str(Comprehensive3DSRStorage), str(SegmentationStorage)})
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
_MODALITIES = frozenset({"SR", "SEG"})


def is_ours(dataset: Dataset) -> bool:
    """Whether an object is one of our results: an SR or SEG with our Manufacturer (0008,0070).

    Takes a whole object, its header, or a QIDO-RS answer; of the latter it needs Manufacturer (ask for it with
    ``includefield``) and either SOP Class UID or Modality.
    """
    kind = str(dataset.get("SOPClassUID", "")) in SOP_CLASSES or str(dataset.get("Modality", "")) in _MODALITIES
    return kind and str(dataset.get("Manufacturer", "")) == MANUFACTURER


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


def with_tracking_uids(report: Report) -> Report:
    """Return the report with a Tracking UID for each region that has none; what ``read`` gives back for what ``write`` got."""
    findings = tuple(
        replace(
            finding,
            regions=tuple(
                region if region.tracking_uid else replace(region, tracking_uid=_tracking_uid(report, index, place))
                for place, region in enumerate(finding.regions)
            ),
        )
        for index, finding in enumerate(report.findings)
    )
    return replace(report, findings=findings)


def _tracking_uid(report: Report, index: int, place: int) -> str:
    return derive_uid("region", *_inputs(report), str(index), str(place))


def _inputs(report: Report) -> tuple[str, ...]:
    return report.study_uid, digest(report.instance_uids), device_uid(report.model), report.model.configuration


def without_identity(header: Dataset) -> Dataset:
    """Return a copy of a header whose patient and study attributes are empty.

    For highdicom, which wants them all of the first image and parses them: :meth:`Maker.stamp` takes over what the modality sent.
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


@dataclass(frozen=True)
class Maker:
    """What all objects of one report share: who made them, from what, and when.

    Attributes:
        report: the report that is written.
        revision: 0 for the first report on a study; late images make the next one.
        source: header of the image whose patient and study the objects take over.
        character_set: Specific Character Set of the objects.
    """

    report: Report
    revision: int
    source: Dataset
    character_set: str | list[str]

    def uid(self, kind: str) -> str:
        """Return the UID for a kind of object, for example ``SR instance``."""
        # The releases count, as they decide the bytes: one UID never names two different objects.
        return derive_uid(kind, *_inputs(self.report), version("sightline"), version("highdicom"), str(self.revision))

    def attributes(self, kind: str, series_number: int, description: str) -> dict[str, Any]:
        """Return the arguments that highdicom's constructors of SR and SEG share; each object is a series of its own."""
        model, started = self.report.model, self._started
        software = [model.version, f"{MANUFACTURER} {version('sightline')}"]
        equipment = hd.ContributingEquipment(
            manufacturer=MANUFACTURER,
            purpose_of_reference=codes.DCM.ProcessingEquipment,
            manufacturer_model_name=model.name,
            software_versions=software,
            device_serial_number=model.weights_hash,
            # The one place for an instant with its time zone: Timezone Offset From UTC would claim it for the study's times too.
            contribution_datetime=DT(self.report.started),
            contribution_description="Artificial intelligence, investigational, not for diagnosis, not verified",
        )
        equipment.DeviceUID = device_uid(model)
        return {
            "series_instance_uid": self.uid(f"{kind} series"),
            "series_number": series_number,
            "sop_instance_uid": self.uid(f"{kind} instance"),
            "instance_number": 1,
            "series_description": description,
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": model.name,
            "software_versions": software,
            "device_serial_number": model.weights_hash,
            "contributing_equipment": [equipment],
            "content_qualification": hd.ContentQualificationValues.RESEARCH,
            "content_date": started.date(),
            "content_time": started.time(),
            "specific_character_set": "ISO_IR 192",  # highdicom knows few; :meth:`stamp` writes the right one
        }

    def stamp(self, instance: hd.SOPClass) -> None:
        """Give a new object its patient, study and times; highdicom's own clock would make each copy differ."""
        instance.SpecificCharacterSet = self.character_set
        instance.copy_patient_and_study_information(self.source)
        instance.InstanceCreationDate = instance.ContentDate
        instance.InstanceCreationTime = instance.ContentTime
        for equipment in instance.ContributingEquipmentSequence:
            if "ContributionDateTime" in equipment:
                equipment.ContributionDateTime = DT(self.report.started)
        if "TimezoneOffsetFromUTC" in self.source:
            instance.TimezoneOffsetFromUTC = self.source.TimezoneOffsetFromUTC

    @property
    def _started(self) -> datetime:
        """The start in the time zone of the study's own times, or in the report's own where the study does not say."""
        try:
            return self.report.started.astimezone(datetime.strptime(str(self.source.get("TimezoneOffsetFromUTC", "")), "%z").tzinfo)
        except ValueError:
            return self.report.started
