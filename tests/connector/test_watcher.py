"""Each study that the model can read is queued once it is complete, with a reason; nothing is queued twice, and nothing is lost."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid

from connector.ledger import Ledger, Outcome
from connector.pacs import Pacs
from connector.steps import StepState
from connector.watcher import Watcher
from radiology.errors import PacsUnreachable, RulesError
from radiology.jobs import Job, JobState, Priority
from radiology.settings import Settings
from radiology.study import digest
from tests.connector.samples import ct_series, our_result, radiograph, ultrasound
from tests.orthanc import Orthanc


class Site:
    """An archive and its watcher, on a clock that the test moves."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings.model_copy(update={"data_folder": folder})
        self.pacs = Pacs.connect(self.settings.pacs)
        self.ledger = Ledger.open(self.settings)
        self.now = datetime.now(UTC)
        self.watcher = Watcher(self.settings, self.ledger)

    def restart(self) -> None:
        """The watcher goes down and comes back."""
        self.watcher = Watcher(self.settings, self.ledger)

    def wait(self, quiet_times: float = 1) -> None:
        """Some time passes, with a look before and after it."""
        self.watcher.look(self.now)
        self.now += timedelta(seconds=quiet_times * self.settings.watcher.quiet_seconds)
        self.watcher.look(self.now)

    def send(self, instances: list[Dataset]) -> None:
        """A modality stores instances in the archive."""
        self.pacs.store(instances)

    def receive(self, instances: list[Dataset]) -> None:
        """Instances come into the archive by another way, which checks nothing."""
        for each in instances:
            with BytesIO() as stream:
                each.save_as(stream, enforce_file_format=True)
                httpx.post(f"{self.settings.pacs.orthanc_url}/instances", content=stream.getvalue()).raise_for_status()

    def job(self, instance: Dataset) -> Job:
        """The latest job of an instance's study."""
        job = self.ledger.latest(instance.StudyInstanceUID)
        assert job is not None
        return job

    def finish(self, job: Job) -> None:
        """A worker reads the study and stores a result."""
        assert self.ledger.take(job.job_id, "worker") is not None
        self.pacs.store([our_result(job.study_uid)])
        self.ledger.finish(job.job_id, "worker", JobState.DONE, "Read.", Outcome())

    @property
    def messages(self) -> int:
        """Messages in the queue."""
        return len(list((self.settings.data_folder / "queue" / "messages").iterdir()))


@pytest.fixture
def site(orthanc: Orthanc, tmp_path: Path) -> Iterator[Site]:
    made = Site(orthanc.settings, tmp_path)
    yield made
    made.ledger.close()


def test_a_complete_study_is_queued_with_a_reason_and_a_message(site: Site) -> None:
    slices = ct_series(generate_uid(), 3)
    site.send(slices)
    site.watcher.look(site.now)
    assert site.job(slices[0]).state is JobState.ARRIVING
    assert site.messages == 0
    site.wait()
    job = site.job(slices[0])
    assert job.state is JobState.QUEUED
    assert job.description == "CT CHEST, 3 images"
    assert job.inputs_digest == digest(each.SOPInstanceUID for each in slices)
    assert "3 instances; quiet" in job.reason
    assert site.messages == 1


def test_a_study_that_keeps_growing_is_not_read_in_between(site: Site) -> None:
    slices = ct_series(generate_uid(), 4)
    for each in slices:
        site.send([each])
        site.wait(0.6)
        assert site.job(slices[0]).state is JobState.ARRIVING
    site.wait()
    assert site.job(slices[0]).inputs_digest == digest(each.SOPInstanceUID for each in slices)


@pytest.mark.parametrize("hours", [1, -1], ids=["forward", "back"])
def test_a_clock_that_is_set_makes_no_study_quiet_and_keeps_none_waiting(site: Site, hours: int) -> None:
    step = timedelta(hours=hours)
    slices = ct_series(generate_uid(), 3)
    site.send(slices[:2])
    site.wait(0.5)
    site.now += step
    site.watcher.clock_set(step)
    site.watcher.look(site.now)
    assert site.job(slices[0]).state is JobState.ARRIVING
    site.send(slices[2:])
    site.wait()
    assert site.job(slices[0]).inputs_digest == digest(each.SOPInstanceUID for each in slices)
    assert "may be incomplete" not in site.job(slices[0]).reason


def test_a_study_whose_header_makes_no_sense_holds_up_no_other(site: Site) -> None:
    strange, nameless, good = (ct_series(generate_uid(), 3) for _ in range(3))
    strange[0].ImageOrientationPatient = [1, 0, 0]
    strange[1].ImagePositionPatient = [1, 2]
    for each in nameless:
        each.SeriesInstanceUID = "../../etc"
    site.receive([*strange, *nameless, *good])
    site.wait()
    assert site.job(good[0]).state is JobState.QUEUED
    assert site.job(strange[0]).state is JobState.QUEUED, "who decodes it refuses it"
    assert site.job(nameless[0]).state is JobState.REFUSED
    assert "a series whose UID is none" in site.job(nameless[0]).reason


def test_an_open_association_keeps_a_quiet_study_waiting(site: Site) -> None:
    image = radiograph(generate_uid())
    site.send([image])
    site.ledger.sources.association_open("association", image.StudyInstanceUID, "CR1")
    site.wait(2)
    assert site.job(image).state is JobState.ARRIVING
    assert "CR1" in site.job(image).reason
    site.ledger.sources.association_closed("association")
    site.wait()
    assert site.job(image).state is JobState.QUEUED


def test_a_study_waits_for_the_end_of_its_acquisition_and_then_no_longer(site: Site) -> None:
    slices = ct_series(generate_uid(), 3)
    site.ledger.steps.begin("1.2.3", {slices[0].StudyInstanceUID}, "CT1")
    site.send(slices[:2])
    site.wait(4)
    assert site.job(slices[0]).state is JobState.ARRIVING
    assert "in progress" in site.job(slices[0]).reason
    site.ledger.steps.change("1.2.3", StepState.COMPLETED, {str(each.SOPInstanceUID) for each in slices})
    site.send(slices[2:])
    site.watcher.look(site.now)
    job = site.job(slices[0])
    assert job.state is JobState.QUEUED, "the quiet time is not waited for"
    assert "all 3 that the modality names are in the archive" in job.reason


def test_images_that_a_modality_names_and_never_sends_are_not_waited_for(site: Site) -> None:
    image = radiograph(generate_uid())
    site.ledger.steps.begin("1.2.4", {image.StudyInstanceUID}, "CR1")
    site.ledger.steps.change("1.2.4", StepState.COMPLETED, {str(image.SOPInstanceUID), "1.2.4.1"})
    site.send([image])
    site.watcher.look(site.now)
    assert site.job(image).state is JobState.ARRIVING
    site.wait()
    assert "1 of 2 that the modality names have not come" in site.job(image).reason


def test_late_images_make_a_new_revision(site: Site) -> None:
    slices = ct_series(generate_uid(), 3)
    site.send(slices[:2])
    site.wait()
    first = site.job(slices[0])
    site.finish(first)
    site.send(slices)
    site.wait()
    second = site.job(slices[0])
    assert (first.revision, second.revision) == (0, 1)
    assert second.state is JobState.QUEUED
    assert second.inputs_digest == digest(each.SOPInstanceUID for each in slices)


def test_a_resend_and_our_own_results_make_no_job(site: Site) -> None:
    image = radiograph(generate_uid())
    site.send([image])
    site.wait()
    site.finish(site.job(image))
    site.send([image])
    site.wait(2)
    assert [(job.state, job.revision) for job in site.ledger.jobs()] == [(JobState.DONE, 0)]


def test_images_that_are_not_read_make_no_second_reading(site: Site) -> None:
    image = radiograph(generate_uid())
    site.send([image])
    site.wait()
    site.finish(site.job(image))
    site.send([ultrasound(image.StudyInstanceUID)])
    site.wait(2)
    assert [job.state for job in site.ledger.jobs()] == [JobState.DONE]
    assert site.messages == 1


def test_a_modality_that_is_not_read_is_refused_with_the_reason(site: Site) -> None:
    image = ultrasound(generate_uid())
    site.send([image])
    site.wait()
    job = site.job(image)
    assert job.state is JobState.REFUSED
    assert "modality US is none of CR, DX, CT" in job.reason
    assert site.messages == 0


def test_of_a_mixed_study_the_readable_images_are_queued(site: Site) -> None:
    image = radiograph(generate_uid())
    site.send([image, ultrasound(image.StudyInstanceUID)])
    site.wait()
    job = site.job(image)
    assert job.state is JobState.QUEUED
    assert job.inputs_digest == digest([image.SOPInstanceUID])
    assert "modality US" in job.reason


def test_a_study_deleted_meanwhile_is_refused(site: Site, orthanc: Orthanc) -> None:
    image = radiograph(generate_uid())
    site.send([image])
    site.watcher.look(site.now)
    orthanc.empty()
    site.wait()
    site.wait()
    assert site.job(image).state is JobState.REFUSED
    assert "send it again" in site.job(image).reason


def test_a_restarted_watcher_takes_up_what_was_arriving(site: Site) -> None:
    seen, unseen = radiograph(generate_uid()), radiograph(generate_uid())
    site.send([seen])
    site.watcher.look(site.now)
    site.send([unseen])
    site.restart()
    site.now = datetime.now(UTC)
    site.wait()
    assert [site.job(each).state for each in (seen, unseen)] == [JobState.QUEUED] * 2
    assert len(site.ledger.jobs()) == 2


def test_two_watchers_queue_a_study_once(site: Site) -> None:
    image = radiograph(generate_uid())
    site.send([image])
    other = Watcher(site.settings, site.ledger)
    for _ in range(3):
        other.look(site.now)
        site.watcher.look(site.now)
        site.now += timedelta(seconds=site.settings.watcher.quiet_seconds)
    assert [job.state for job in site.ledger.jobs()] == [JobState.QUEUED]
    assert site.messages == 1


def test_an_archive_that_is_down_delays_and_loses_nothing(start_orthanc: Callable[[], Orthanc], tmp_path: Path) -> None:
    orthanc = start_orthanc()
    site = Site(orthanc.settings, tmp_path)
    seen, unseen = radiograph(generate_uid()), radiograph(generate_uid())
    site.send([seen])
    site.watcher.look(site.now)
    site.send([unseen])
    orthanc.stop()
    with pytest.raises(PacsUnreachable):
        site.wait()
    orthanc.start()
    site.wait()
    assert [site.job(each).state for each in (seen, unseen)] == [JobState.QUEUED] * 2
    site.ledger.close()


def test_a_lost_message_is_sent_again(site: Site) -> None:
    image = radiograph(generate_uid())
    site.send([image])
    site.wait()
    for message in (site.settings.data_folder / "queue" / "messages").iterdir():
        message.unlink()
    site.now = datetime.now(UTC) + timedelta(seconds=2 * site.settings.ledger.lease_seconds)
    site.watcher.look(site.now)
    assert site.messages == 1


def test_the_first_start_can_leave_alone_what_the_archive_already_holds(orthanc: Orthanc, tmp_path: Path) -> None:
    old, new = radiograph(generate_uid()), radiograph(generate_uid())
    Pacs.connect(orthanc.settings.pacs).store([old])
    watcher = orthanc.settings.watcher.model_copy(update={"read_existing": False})
    site = Site(orthanc.settings.model_copy(update={"watcher": watcher}), tmp_path)
    site.watcher.look(site.now)
    site.send([new])
    site.wait()
    assert [job.study_uid for job in site.ledger.jobs()] == [new.StudyInstanceUID]
    site.ledger.close()


def ruled(orthanc: Orthanc, folder: Path, rules: str) -> Site:
    """A site with a file of rules."""
    path = folder / "rules.yaml"
    path.write_text(f"timezone: UTC\nrules:\n{rules}")
    watcher = orthanc.settings.watcher.model_copy(update={"rules": path})
    return Site(orthanc.settings.model_copy(update={"watcher": watcher}), folder)


def test_rules_say_what_is_read_and_how_soon_by_who_sent_it(orthanc: Orthanc, tmp_path: Path) -> None:
    site = ruled(
        orthanc, tmp_path, "  - {name: emergency, source: ER_CR1, priority: urgent}\n  - {name: rest, read: no, why: Not wanted}\n"
    )
    urgent, unwanted = radiograph(generate_uid()), radiograph(generate_uid())
    site.ledger.sources.sent_by(urgent.StudyInstanceUID, "ER_CR1")
    site.ledger.sources.sent_by(unwanted.StudyInstanceUID, orthanc.settings.listener.ae_title)
    site.send([urgent, unwanted])
    site.wait()
    first, second = site.job(urgent), site.job(unwanted)
    assert (first.state, first.priority) == (JobState.QUEUED, Priority.URGENT)
    assert 'Rule "emergency": urgent.' in first.reason
    assert (second.state, second.reason) == (JobState.REFUSED, 'Rule "rest": Not wanted.')
    site.finish(first)
    site.send([urgent])
    site.wait(2)
    assert site.job(urgent).state is JobState.DONE
    site.ledger.retry(unwanted.StudyInstanceUID)  # a person's word counts more than a rule, also when it is sent again
    site.finish(site.job(unwanted))
    site.send([unwanted])
    site.wait(2)
    assert site.job(unwanted).state is JobState.DONE
    site.ledger.close()


def test_who_sent_a_study_straight_to_the_archive_is_known(orthanc: Orthanc, tmp_path: Path) -> None:
    site = ruled(orthanc, tmp_path, "  - {name: scanner, source: CT1, priority: low}\n  - {name: rest, read: no}\n")
    slices = ct_series(generate_uid(), 2)
    by_dicom = orthanc.settings.pacs.model_copy(update={"store_by": "C-STORE", "calling_ae_title": "CT1"})
    Pacs.connect(by_dicom).store(slices)
    site.wait()
    assert (site.job(slices[0]).state, site.job(slices[0]).priority) == (JobState.QUEUED, Priority.LOW)
    assert site.ledger.sources.of_study(slices[0].StudyInstanceUID) == {"CT1"}
    site.ledger.close()


def test_a_watcher_does_not_start_with_rules_that_cannot_be_read(orthanc: Orthanc, tmp_path: Path) -> None:
    with pytest.raises(RulesError, match=r"rules.yaml, line 3: rule 1, prioritty"):
        ruled(orthanc, tmp_path, "  - {name: a, prioritty: low}\n")
