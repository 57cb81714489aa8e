"""Our own results, as somebody may have changed them in the archive: reports and what became of them, or that one is damaged."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from functools import cache
from io import BytesIO

import numpy as np
from pydicom import Dataset, dcmread

import dicom_sr
from connector.schemas.reports import ReportBody
from dicom_sr import Version
from dicom_sr.readings import in_force
from radiology.claims import drop_illegible
from radiology.errors import StudyError
from radiology.finding import Box, Finding, Presence, Region, Side
from radiology.image import Volume
from radiology.judgement import Observer, Reason, Rejection
from radiology.measuring import measured
from radiology.study import Study
from tests.dicom_sr.reports import STARTED, report_on
from tests.dicom_sr.sources import CT_SERIES_UID, ct_series
from tests.fuzz.dicom import encoded, mutate

__all__ = ["mutate", "play", "seeds"]


@cache
def first_reading() -> tuple[Study, Version, list[Dataset]]:
    """A study of two small slices, the report on it that is in force, and its objects."""
    study = Study.from_instances(ct_series(2, 8, 8))
    mask = np.ones((2, 8, 8), bool)
    findings = (
        Finding("lung", "The right lung is seen.", side=Side.RIGHT, regions=(Region.from_mask(CT_SERIES_UID, mask, 0.9),)),
        Finding("nodule", "There is a nodule.", regions=(Region(CT_SERIES_UID, Box((0, 1, 2), (2, 5, 6))),), flags=("It is small.",)),
        Finding("pneumothorax", "No pneumothorax.", Presence.ABSENT),
    )
    sized = measured(findings, [Volume(CT_SERIES_UID, np.zeros((2, 8, 8), np.float32), np.diag([2.5, 0.7, 0.7, 1.0]))])
    objects = dicom_sr.write(study, report_on(study, *sized, impression="A nodule.", withheld=("A statement was withheld.",)))
    version = dicom_sr.current(objects, study)
    assert version is not None
    return study, version, objects


@cache
def _note() -> Dataset:
    """The note that takes all of it back."""
    study, _, objects = first_reading()
    rejection = Rejection(0, Reason.FALSE_POSITIVE, Observer("Röntgen^Wilhelm", "Klinikum"), STARTED + timedelta(hours=1))
    return dicom_sr.reject(study, objects, rejection)


def seeds() -> Mapping[str, bytes]:
    """One object of each kind."""
    _, _, objects = first_reading()
    return {f"{each.Modality}-{each.SeriesNumber}": encoded(each) for each in (*objects, _note())}


def play(data: bytes) -> None:
    """Read what is there with the changed object in the place of the good one: what is in force, or what was where it is a note."""
    study, _, objects = first_reading()
    try:
        changed = dcmread(BytesIO(data))
    except Exception:  # noqa: BLE001 - no object at all; what becomes of such a file the target "study" sees
        return
    drop_illegible(changed)
    there = [*(each for each in objects if each.SOPInstanceUID != changed.get("SOPInstanceUID")), changed]
    with suppress(StudyError):
        is_note = changed.get("Modality") == "KO"
        versions = dicom_sr.history(there, study) if is_note else filter(None, [dicom_sr.current(there, study)])
        for version in versions:
            ReportBody.of(version, study).model_dump_json()
    in_force(there)
