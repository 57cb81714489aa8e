"""A job goes from the queue to results in a real archive, and every failure ends in a state with a sentence."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psutil
import pytest
import requests
from pydicom import Dataset
from pydicom.dataset import FileDataset
from pynetdicom import AE, AllStoragePresentationContexts, evt

import dicom_sr
from ai_engine.engine import Engine, Read, Tell
from ai_engine.model.assistant import Assistant
from ai_engine.model.language import Language
from ai_engine.model.unified import UnifiedModel
from ai_engine.worker.reading import Worker, read_study, store_results
from connector.delivery import Delivery
from connector.ledger import MODEL_IN_USE, Ledger
from connector.pacs import Pacs
from dicom_sr import State
from radiology.finding import Box, Finding, Region
from radiology.image import Image
from radiology.jobs import Job, JobState
from radiology.report import ModelIdentity, Outcome
from radiology.settings import LedgerSettings, ResultSettings, Settings, WatcherSettings
from radiology.study import Study, digest
from tests.ai_engine.chest_studies import ct, radiographs
from tests.connector.committing import committing
from tests.dicom_sr.reports import report_on
from tests.dicom_sr.sources import ct_series
from tests.orthanc import Orthanc

IDENTITY = ModelIdentity("sightline-tiny", "0", "0" * 64)


@pytest.fixture
def ledger(tmp_path: object) -> Iterator[Ledger]:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.sqlite", LedgerSettings(maximum_attempts=2, retry_seconds=10))
    yield ledger
    ledger.close()


@pytest.fixture
def pacs(orthanc: Orthanc) -> Pacs:
    return Pacs.connect(orthanc.settings.pacs)


@pytest.fixture
def worker(taught_assistant: Assistant, ledger: Ledger, pacs: Pacs) -> Worker:
    engine, delivery = Engine(taught_assistant, IDENTITY, maximum_key_slices=2), Delivery(Settings(), pacs, ledger.commitments)
    return Worker("worker-1", ledger, pacs, engine, WatcherSettings(), ResultSettings(), delivery)


def queued(ledger: Ledger, instances: list[FileDataset]) -> int:
    job = ledger.arriving(instances[0].StudyInstanceUID, "DX CHEST", "Coming.")
    return ledger.queue(job.job_id, digest(str(i.SOPInstanceUID) for i in instances), "Quiet.").job_id


@pytest.fixture
def read(ledger: Ledger, pacs: Pacs, worker: Worker) -> Callable[[list[FileDataset]], Job]:
    """Store a study in the archive, queue it, and have it read."""

    def store_and_read(instances: list[FileDataset]) -> Job:
        pacs.store(instances)
        job = read_study(queued(ledger, instances), worker)
        assert job is not None
        return job

    return store_and_read


@pytest.mark.parametrize(
    ("claims", "says"),
    [({"Rows": 65535, "Columns": 65535}, "claims 65535 x 65535 pixels"), ({"NumberOfFrames": 1_000_000}, "claims 1000000 frames")],
    ids=["pixels", "frames"],
)
@pytest.mark.parametrize("study", [lambda: radiographs("PA"), lambda: ct(3)], ids=["DX", "CT"])
def test_a_study_that_claims_more_than_any_has_is_refused_without_making_room_for_it(
    read: Callable[[list[FileDataset]], Job], pacs: Pacs, study: Callable[[], list[FileDataset]], claims: dict[str, int], says: str
) -> None:
    instances = study()
    for each in instances:
        for keyword, value in claims.items():
            setattr(each, keyword, value)
    memory = psutil.Process().memory_info().rss
    job = read(instances)
    assert job.state is JobState.REFUSED
    assert says in job.reason
    assert psutil.Process().memory_info().rss - memory < 256 << 20
    (document,) = [result for result in pacs.results(job.study_uid) if result.Modality == "SR"]
    assert says in document.to_json()


@pytest.mark.parametrize("study", [lambda: radiographs("PA"), lambda: ct(3)], ids=["DX", "CT"])
def test_a_series_that_claims_too_much_does_not_keep_the_others_from_being_read(
    read: Callable[[list[FileDataset]], Job], study: Callable[[], list[FileDataset]]
) -> None:
    good, bad = study(), study()
    for each in bad:
        each.StudyInstanceUID, each.NumberOfFrames = good[0].StudyInstanceUID, 1_000_000
    assert read([*good, *bad]).state is JobState.DONE


@pytest.mark.parametrize(
    "study", [lambda: radiographs("PA"), lambda: radiographs("PA", modality="CR"), lambda: ct(4)], ids=["DX", "CR", "CT"]
)
def test_a_study_is_read_and_its_results_are_in_the_archive(
    read: Callable[[list[FileDataset]], Job], pacs: Pacs, ledger: Ledger, study: Callable[[], list[FileDataset]]
) -> None:
    instances = study()
    job = read(instances)
    assert job.state is JobState.DONE, job.reason
    results = pacs.results(job.study_uid)
    assert {str(result.SOPInstanceUID) for result in results} == set(job.result_uids)
    assert sorted(result.Modality for result in results) == ["SEG", "SR", "SR", "SR"]
    report = dicom_sr.read(results, pacs.fetch(job.study_uid))
    assert [finding.name for finding in report.findings] == ["lung", "nodule", "pleural effusion"]
    assert report.instance_uids == tuple(sorted(str(instance.SOPInstanceUID) for instance in instances))
    assert report.model.weights_hash == job.weights_hash == IDENTITY.weights_hash
    assert set(job.parts) == {"queue", "fetch", "load", "model", "write", "store"}
    assert all(seconds >= 0 for seconds in job.parts.values())


@pytest.mark.parametrize("study", [lambda: radiographs("PA"), lambda: ct(4)], ids=["radiograph", "CT"])
def test_how_far_a_reading_is_and_by_which_steps_it_came_to_its_report_is_in_the_ledger(
    tmp_path: Path, worker: Worker, pacs: Pacs, study: Callable[[], list[FileDataset]]
) -> None:
    told: list[tuple[float, str]] = []

    class Watched(Ledger):
        def progress(self, job_id: int, worker: str, share: float, doing: str) -> None:
            super().progress(job_id, worker, share, doing)
            told.append((share, doing))

    ledger = Watched(f"sqlite:///{tmp_path}/watched.sqlite", LedgerSettings())
    instances = study()
    pacs.store(instances)
    job = read_study(queued(ledger, instances), replace(worker, ledger=ledger))
    assert job is not None
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert 0 <= shares[0] < shares[-1] < 1
    assert told[0][1] == "Fetching"
    assert told[-1][1] == "Storing"
    assert ("Image 1 of 1" if len(instances) == 1 else "Slice 1 of 2") in [doing for _, doing in told]
    looks = ledger.thinking(job.study_uid, job.weights_hash)
    assert [look.words for look in looks][:4] == [
        "Lungs, right lung: nodule on the left.",
        "Lungs, left lung: nodule on the left.",
        "Lungs, left nodule: nodule on the left.",
        "Pleura: no effusion.",
    ]
    assert {look.series_uid for look in looks} == {instances[0].SeriesInstanceUID}
    assert looks[0].box is not None
    assert looks[3].box is None
    standing = ledger.records([job.study_uid])[job.study_uid].standing
    assert standing is not None
    assert (standing.outcome, standing.findings, standing.is_signed, standing.version) == (Outcome.FOUND, 1, False, 1)
    assert standing.document_uid in job.result_uids
    ledger.close()


def test_a_job_that_runs_twice_stores_nothing_twice(
    read: Callable[[list[FileDataset]], Job], ledger: Ledger, pacs: Pacs, worker: Worker
) -> None:
    instances = radiographs("PA")
    first = read(instances)
    count = pacs.count(first.study_uid)
    second = read_study(queued(ledger, instances), replace(worker, name="worker-2"))
    assert second is not None
    assert (second.state, second.revision, second.result_uids) == (JobState.DONE, 1, first.result_uids)
    assert pacs.count(first.study_uid) == count


def test_a_study_that_another_model_reads_again_has_its_report_alone_in_force(
    read: Callable[[list[FileDataset]], Job], taught_assistant: Assistant, ledger: Ledger, pacs: Pacs, worker: Worker
) -> None:
    first = read(radiographs("PA"))
    newer = replace(IDENTITY, weights_hash="1" * 64)
    ledger.remember(MODEL_IN_USE, newer.weights_hash)
    job = ledger.replay(first.study_uid, "admin")
    again = read_study(job.job_id, replace(worker, engine=Engine(taught_assistant, newer, maximum_key_slices=2)))
    assert again is not None
    assert (again.state, again.revision) == (JobState.DONE, 1)
    results = pacs.results(first.study_uid)
    assert {str(result.SOPInstanceUID) for result in results} == {*first.result_uids, *again.result_uids}
    assert dicom_sr.read(results, pacs.fetch(first.study_uid)).model.weights_hash == newer.weights_hash
    version = dicom_sr.current(results, pacs.fetch(first.study_uid))
    assert version is not None
    assert version.standing.document_uid in again.result_uids


def test_a_job_that_another_worker_has_is_left_alone(ledger: Ledger, worker: Worker) -> None:
    job_id = queued(ledger, radiographs("PA"))
    ledger.take(job_id, "worker-2")
    assert read_study(job_id, worker) is None
    assert read_study(404, worker) is None


def test_an_archive_that_is_away_is_tried_again_and_the_study_is_read_once_it_is_back(
    start_orthanc: Callable[[], Orthanc], ledger: Ledger, worker: Worker
) -> None:
    orthanc = start_orthanc()
    pacs = Pacs.connect(orthanc.settings.pacs)
    worker = replace(worker, pacs=pacs)
    instances = radiographs("PA")
    pacs.store(instances)
    job_id = queued(ledger, instances)
    orthanc.stop()
    for _ in range(7):  # more often than a study is tried that is itself the trouble
        job = read_study(job_id, worker)
        assert job is not None
        assert job.state is JobState.QUEUED
        assert "does not answer" in job.reason
        assert job_id in ledger.sweep(datetime.now(UTC) + timedelta(seconds=61))
    orthanc.start()
    job = read_study(job_id, worker)
    assert job is not None
    assert (job.state, job.attempts) == (JobState.DONE, 1)


def test_a_study_waits_for_as_long_as_the_archive_has_no_room_for_its_results(ledger: Ledger, worker: Worker, orthanc: Orthanc) -> None:
    worker.pacs.store(instances := radiographs("PA"))
    job_id = queued(ledger, instances)
    full = AE(orthanc.settings.pacs.ae_title)
    for context in AllStoragePresentationContexts:
        full.add_supported_context(context.abstract_syntax)
    server = full.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda event: 0xA700)])
    by_dimse = {"store_by": "C-STORE", "port": server.server_address[1]}
    waiting = replace(worker, pacs=Pacs.connect(orthanc.settings.pacs.model_copy(update=by_dimse)))
    for _ in range(3):  # more often than a study is tried that is itself the trouble
        job = read_study(job_id, waiting)
        assert job is not None
        assert job.state is JobState.QUEUED
        assert "has no room" in job.reason
    server.shutdown()
    after = read_study(job_id, worker)
    assert after is not None
    assert after.state is JobState.DONE


def test_a_study_that_the_archive_does_not_hold_is_failed(ledger: Ledger, worker: Worker) -> None:
    job = read_study(queued(ledger, radiographs("PA")), worker)
    assert job is not None
    assert job.state is JobState.FAILED
    assert "send it again" in job.reason


def without(keyword: str, instances: list[FileDataset]) -> list[FileDataset]:
    for instance in instances:
        delattr(instance, keyword)
    return instances


def turned(instances: list[FileDataset]) -> list[FileDataset]:
    instances[-1].ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    return instances


@pytest.mark.parametrize(
    ("study", "reason"),
    [
        (lambda: without("PixelSpacing", ct(3)), "PixelSpacing"),
        (lambda: turned(ct(3)), "mixes orientations"),
        (lambda: radiographs("LL"), "only frontal views"),
        (lambda: mammogram(), "modality MG is none of CR, DX, CT"),
    ],
    ids=["no pixel spacing", "mixed orientations", "lateral view", "other modality"],
)
def test_what_the_model_cannot_read_is_refused_with_the_reason(
    read: Callable[[list[FileDataset]], Job], pacs: Pacs, study: Callable[[], list[FileDataset]], reason: str
) -> None:
    job = read(study())
    assert job.state is JobState.REFUSED
    assert reason in job.reason
    if job.reason.startswith("Nothing in it is read"):
        assert pacs.results(job.study_uid) == []
    else:
        assert_not_read_is_stored(job, pacs, reason)


def assert_not_read_is_stored(job: Job, pacs: Pacs, reason: str) -> None:
    """That a study could not be read is a result in the archive, with the reason and without a finding."""
    (document,) = pacs.results(job.study_uid)
    assert job.result_uids == (str(document.SOPInstanceUID),)
    assert document.SeriesDescription.startswith("AI could not read")
    report = dicom_sr.read([document], pacs.fetch(job.study_uid))
    assert (report.outcome, report.findings) == (Outcome.NOT_READ, ())
    assert reason in report.failures[0]


def mammogram() -> list[FileDataset]:
    films = radiographs("PA")
    films[0].Modality = "MG"
    return films


def test_a_localizer_beside_a_ct_does_not_stop_it(read: Callable[[list[FileDataset]], Job]) -> None:
    slices, localizer = ct(4), turned(ct(2))
    for number, instance in enumerate(localizer):
        instance.StudyInstanceUID = slices[0].StudyInstanceUID
        instance.SeriesNumber = 2 + number
    job = read([*slices, *localizer])
    assert job.state is JobState.DONE, job.reason


@pytest.fixture
def babbler(tiny_model: UnifiedModel, tiny_language: Language, worker: Worker) -> Worker:
    """The worker with a model that has learned nothing, so that its answers cannot be read."""
    return replace(worker, engine=Engine(Assistant(tiny_model, tiny_language, maximum_new_tokens=20), IDENTITY, maximum_key_slices=2))


def test_an_unreadable_answer_fails_the_job_is_stored_as_not_read_and_is_kept_for_the_administrator(
    ledger: Ledger, pacs: Pacs, babbler: Worker
) -> None:
    instances = radiographs("PA")
    pacs.store(instances)
    job = read_study(queued(ledger, instances), babbler)
    assert job is not None
    assert job.state is JobState.FAILED
    assert "answer cannot be used" in job.reason
    assert ledger.raw_answer(job.job_id)
    assert_not_read_is_stored(job, pacs, "answer cannot be used")


def test_a_study_that_is_read_at_the_second_try_has_a_report_that_replaces_the_failure(
    ledger: Ledger, pacs: Pacs, worker: Worker, babbler: Worker
) -> None:
    instances = radiographs("PA")
    pacs.store(instances)
    job = read_study(queued(ledger, instances), babbler)
    assert job is not None
    ledger.retry(job.study_uid)
    assert read_study(job.job_id, worker).state is JobState.DONE  # type: ignore[union-attr]
    study = pacs.fetch(job.study_uid)
    versions = dicom_sr.history(pacs.results(job.study_uid), study)
    assert [(version.state, version.report.outcome) for version in versions] == [
        (State.PRELIMINARY, Outcome.FOUND),
        (State.REPLACED, Outcome.NOT_READ),
    ]


def test_late_images_make_a_report_that_names_the_one_it_replaces(read: Callable[[list[FileDataset]], Job], pacs: Pacs) -> None:
    first, late = radiographs("PA"), radiographs("PA")
    late[0].StudyInstanceUID = first[0].StudyInstanceUID
    read(first)
    before = pacs.results(first[0].StudyInstanceUID)
    job = read([*first, *late])
    assert job.state is JobState.DONE, job.reason
    report = next(each for each in pacs.results(job.study_uid) if str(each.SOPInstanceUID) == job.result_uids[0])
    named = {
        str(reference.ReferencedSOPInstanceUID)
        for study in report.PredecessorDocumentsSequence
        for series in study.ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    }
    assert named == {str(each.SOPInstanceUID) for each in before if each.SeriesDescription.startswith("AI findings")}
    assert len(dicom_sr.read(pacs.results(job.study_uid), pacs.fetch(job.study_uid)).instance_uids) == 2


def test_what_only_some_images_could_give_is_a_report_that_says_so(read: Callable[[list[FileDataset]], Job], pacs: Pacs) -> None:
    front, side = radiographs("PA"), radiographs("LL")
    side[0].StudyInstanceUID = front[0].StudyInstanceUID
    job = read([*front, *side])
    assert job.state is JobState.DONE, job.reason
    report = dicom_sr.read(pacs.results(job.study_uid), pacs.fetch(job.study_uid))
    assert report.outcome is Outcome.PARTLY_READ
    assert "only frontal views" in report.failures[0]


def test_results_do_not_undo_a_correction_of_the_patient_that_came_meanwhile(
    taught_assistant: Assistant, ledger: Ledger, orthanc: Orthanc, pacs: Pacs, worker: Worker
) -> None:
    instances = radiographs("PA")
    pacs.store(instances)

    class Corrected(Engine):
        def read(self, study: Study, images: Sequence[Image], started: datetime | None = None, tell: Tell = print) -> Read:
            correct_patient(orthanc, pacs, instances, "CORRECTED-1")
            return super().read(study, images, started, tell)

    job_id = queued(ledger, instances)
    job = read_study(job_id, replace(worker, engine=Corrected(taught_assistant, IDENTITY, maximum_key_slices=2)))
    assert job is not None
    assert (job.state, pacs.results(job.study_uid)) == (JobState.QUEUED, [])
    assert "corrected while it was read" in job.reason
    assert "CORRECTED" not in job.reason
    job = read_study(job_id, worker)
    assert job is not None
    assert job.state is JobState.DONE, job.reason
    assert {str(each.PatientID) for each in pacs.results(job.study_uid)} == {"CORRECTED-1"}


def correct_patient(orthanc: Orthanc, pacs: Pacs, instances: list[FileDataset], patient_id: str) -> None:
    """Store a study anew with another Patient ID and the same UIDs, as an administrator's correction does."""
    root = orthanc.settings.pacs.orthanc_url
    (study,) = requests.post(f"{root}/tools/lookup", data=str(instances[0].StudyInstanceUID), timeout=10).json()
    requests.delete(f"{root}/studies/{study['ID']}", timeout=10).raise_for_status()
    for instance in instances:
        instance.PatientID = patient_id
    pacs.store(instances)


def test_images_that_are_not_wanted_are_not_read(read: Callable[[list[FileDataset]], Job], pacs: Pacs) -> None:
    chest, hand = radiographs("PA"), radiographs("PA")
    hand[0].StudyInstanceUID, hand[0].BodyPartExamined = chest[0].StudyInstanceUID, "HAND"
    job = read([*chest, *hand])
    assert job.state is JobState.DONE, job.reason
    report = dicom_sr.read(pacs.results(job.study_uid), pacs.fetch(job.study_uid))
    assert report.instance_uids == (str(chest[0].SOPInstanceUID),)


def test_the_ledger_and_the_results_reasons_hold_nothing_of_the_patient(read: Callable[[list[FileDataset]], Job], ledger: Ledger) -> None:
    films: list[Dataset] = list(radiographs("PA"))
    films[0].PatientName, films[0].PatientID = "DOE^JANE", "SECRET-ID"
    job = read(films)  # type: ignore[arg-type]
    written = repr(job) + repr(ledger.history(job.job_id))
    assert "DOE" not in written
    assert "SECRET-ID" not in written


def test_a_study_is_not_done_before_the_archive_commits_to_its_results(
    worker: Worker, ledger: Ledger, pacs: Pacs, orthanc: Orthanc
) -> None:
    pacs.store(instances := radiographs("PA"))
    job_id, refused = queued(ledger, instances), {"reason": 0x0112}

    def commit(uids: list[str]) -> dict[str, int]:
        return dict.fromkeys(uids, refused["reason"]) if refused else {}

    with committing(orthanc.settings.listener, commit, stays=True) as port:
        asking = orthanc.settings.pacs.model_copy(update={"port": port.port, "storage_commitment": "ask"})
        delivery = Delivery(orthanc.settings.model_copy(update={"pacs": asking}), pacs, ledger.commitments)
        worker = replace(worker, delivery=delivery)
        assert (job := read_study(job_id, worker)) is not None
        assert job.state is JobState.QUEUED
        assert "does not commit to keep" in job.reason
        assert "(0x0112)" in job.reason
        refused.clear()
        assert (job := read_study(job_id, worker)) is not None
    assert job.state is JobState.DONE
    assert job.reason.endswith("results are in the archive, and it has committed to keep them.")
    assert {str(result.SOPInstanceUID) for result in pacs.results(job.study_uid)} == set(job.result_uids), "the same, stored once"


@pytest.mark.parametrize(("takes_label_maps", "written"), [(True, "LABELMAP"), (False, "BINARY")])
def test_an_archive_that_refuses_label_maps_gets_the_masks_as_bits(takes_label_maps: bool, written: str, tmp_path: Path) -> None:
    slices = ct_series()
    study = Study.from_instances(slices)
    region = Region(study.series[0].series_uid, Box((0, 2, 3), (2, 5, 6)), np.ones((2, 3, 3), bool))
    report = report_on(study, Finding("nodule", "A nodule.", regions=(region,)))
    with Orthanc(tmp_path, UnknownSopClassAccepted=takes_label_maps) as orthanc:
        pacs = Pacs.connect(orthanc.settings.pacs.model_copy(update={"store_by": "C-STORE"}))
        pacs.store(slices)
        stored = store_results(study, report, pacs, ResultSettings(label_maps=True), {}).results
        again = store_results(study, report, pacs, ResultSettings(label_maps=True), {}).results
        held = pacs.results(study.study_uid)
    assert [each.SegmentationType for each in held if each.Modality == "SEG"] == [written]
    assert {each.SOPInstanceUID for each in held} == {each.SOPInstanceUID for each in stored} == {each.SOPInstanceUID for each in again}
    assert dicom_sr.read(held, study) == dicom_sr.as_written(report)
