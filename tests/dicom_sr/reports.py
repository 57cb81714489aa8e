"""A report that uses everything a report can say, on the synthetic study of :mod:`tests.dicom_sr.sources`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import numpy as np
from pydicom import Dataset

from radiology.finding import Box, Finding, Presence, Region, Side
from radiology.image import Image, Projection, Volume
from radiology.measuring import measured
from radiology.report import ModelIdentity, Report
from radiology.study import Study
from tests.dicom_sr.sources import CT_SERIES_UID, PROJECTION_SERIES_UID, ct_series, projections

MODEL = ModelIdentity("sightline-small", "0.1.0", "5e" * 32, '{"threshold": 0.5}')
STARTED = datetime(2026, 3, 4, 15, 6, 7, 89, tzinfo=timezone(timedelta(hours=1)))


def example_study() -> Study:
    """Return a study with a CT of 4 slices and two radiographs."""
    return Study.from_instances([*ct_series(), *projections(2)])


def segmentations(objects: Sequence[Dataset]) -> list[Dataset]:
    """Return the Segmentations among the objects of a report."""
    return [each for each in objects if each.Modality == "SEG"]


def report_on(study: Study, *findings: Finding, impression: str = "", withheld: tuple[str, ...] = ()) -> Report:
    """Return a report on all images of the study."""
    uids = sorted(uid for series in study.series for uid in series.instance_uids)
    return Report(study.study_uid, findings, impression, MODEL, STARTED, tuple(uids), withheld)


def example_report(study: Study) -> Report:
    """Return a report with masks that overlap, a box alone, places in CT and radiographs, negatives, a flag and a withheld statement."""
    lung = np.zeros((4, 32, 40), bool)
    lung[:, 2:30, 3:35] = True
    nodule = np.zeros((4, 32, 40), bool)
    nodule[1:3, 5:9, 10:20] = True
    nodule[2, 9, 15] = True
    shadow = np.zeros((1, 30, 21), bool)
    shadow[0, 3:9, 4:17] = True
    seen = replace(Region.from_mask(CT_SERIES_UID, lung, 0.88), read_slices=(0, 2))
    findings = (
        Finding("lung", "The right lung is seen.", side=Side.RIGHT, confidence=0.9, regions=(seen,)),
        Finding(
            "nodule",
            "There is a nodule in the right lung.",
            side=Side.RIGHT,
            confidence=0.7 / 3,
            regions=(
                Region.from_mask(CT_SERIES_UID, nodule, 0.1),
                Region.from_mask(PROJECTION_SERIES_UID, shadow, 0.2),
                Region.from_mask(PROJECTION_SERIES_UID, shadow, 0.3, first_slice=1),
            ),
            flags=("The box and the mask disagree.", "The mask is small."),
        ),
        Finding("pneumothorax", "No pneumothorax.", Presence.ABSENT, confidence=1 / 3),
        Finding("pleural effusion", "A left pleural effusion cannot be excluded.", Presence.UNDETERMINED, Side.LEFT),
        Finding("", "Surgical clips.", side=Side.LEFT, regions=(Region(CT_SERIES_UID, Box((0, 1, 2), (4, 5, 6)), score=0.2),)),
        Finding("", "The image is rotated.", flags=("Nothing checks this statement.",)),
    )
    images: list[Image] = [
        Volume(CT_SERIES_UID, np.zeros((4, 32, 40), np.float32), np.diag([2.5, 0.7, 0.7, 1.0])),
        *(Projection(PROJECTION_SERIES_UID, index, np.zeros((30, 21), np.float32), (0.4, 0.2), "PA") for index in range(2)),
    ]
    return report_on(
        study,
        *measured(findings, images),
        impression="Nodule in the right lung.",
        withheld=("A statement on the heart was withheld: its place is outside the body.",),
    )
