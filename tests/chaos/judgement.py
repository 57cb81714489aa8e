"""What became of a study that was sent: its images as they were acknowledged, and exactly one result set in force, or in what it fails."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from pydicom import Dataset
from pynetdicom.dsutils import encode

import dicom_sr
from connector.ledger import Ledger
from connector.pacs import Pacs
from dicom_sr import State
from radiology.jobs import JobState
from radiology.settings import PacsSettings
from radiology.study import digest
from tests.connector.modality import data_set

_MANY = 1_000_000


@dataclass(frozen=True)
class Judgement:
    """What is wrong with a study: sentences, each under what it is: lost, or made twice."""

    lost: tuple[str, ...]
    twice: tuple[str, ...]


def is_read(study: Sequence[Dataset], ledger: Ledger) -> bool:
    """Whether the study's newest job is done with all its images."""
    job = ledger.latest(_study_uid(study))
    return job is not None and job.state is JobState.DONE and job.inputs_digest == digest(_uids(study))


def judge(study: Sequence[Dataset], ledger: Ledger, archive: PacsSettings) -> Judgement:
    """Compare what was sent with what ledger and archive hold, by query and byte for byte."""
    pacs, study_uid = Pacs.connect(archive), _study_uid(study)
    lost = [f"instance {each.SOPInstanceUID} is {fault}" for each in study if (fault := _fault(each, archive.orthanc_url))]
    done = [job for job in ledger.jobs(JobState.DONE, limit=_MANY) if job.study_uid == study_uid]  # the newest first
    twice = [f"one set of images was read by {count} jobs" for count in Counter(job.inputs_digest for job in done).values() if count > 1]
    if not is_read(study, ledger):
        job = ledger.latest(study_uid)
        lost.append(f"its newest job is {job.state}: {job.reason}" if job else "it has no job")
    if lost:
        return Judgement(tuple(lost), tuple(twice))
    images = pacs.fetch(study_uid)
    if sorted(uid for series in images.series for uid in series.instance_uids) != sorted(_uids(study)):
        twice.append("the archive lists other instances than were sent")
    results = pacs.results(study_uid)
    entered = {uid for job in done for uid in job.result_uids}
    stray = [str(each.SOPInstanceUID) for each in results if str(each.SOPInstanceUID) not in entered]
    twice += [f"result {uid} belongs to no finished job" for uid in stray]
    version = dicom_sr.current(results, images)
    if version is None:
        return Judgement(("no report of it is in force",), tuple(twice))
    if version.report.instance_uids != tuple(sorted(_uids(study))):
        lost.append("the report in force is about other images")
    if {str(each.SOPInstanceUID) for each in version.objects} != set(done[0].result_uids):
        lost.append("the report in force is not what its newest job stored")
    if not {"SR", "SEG"} <= {each.Modality for each in version.objects}:
        lost.append("the report in force has no masks")
    # Where images came late, the report on the first ones must be replaced.
    in_force = [each for each in dicom_sr.history(results, images) if each.state not in (State.REPLACED, State.REJECTED)]
    if len(in_force) > 1:
        twice.append(f"{len(in_force)} reports are in force")
    return Judgement(tuple(lost), tuple(twice))


def _study_uid(study: Sequence[Dataset]) -> str:
    return str(study[0].StudyInstanceUID)


def _uids(study: Sequence[Dataset]) -> list[str]:
    return [str(each.SOPInstanceUID) for each in study]


def _fault(instance: Dataset, archive: str) -> str:
    """What is wrong with an instance in the archive; nothing where its data set is, byte for byte, the one that was sent."""
    found = httpx.post(f"{archive}/tools/lookup", content=str(instance.SOPInstanceUID)).raise_for_status().json()
    if len(found) != 1:
        return f"{len(found)} times in the archive"
    with tempfile.NamedTemporaryFile(suffix=".dcm") as held:
        held.write(httpx.get(f"{archive}/instances/{found[0]['ID']}/file").raise_for_status().content)
        held.flush()
        syntax = instance.file_meta.TransferSyntaxUID
        sent = encode(instance, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
        return "" if data_set(Path(held.name)) == sent else "in the archive with other bytes"
