"""What modalities say of their procedure steps is kept, by the rules of PS3.4 F.7.2, and only UIDs of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom.sop_class import ModalityPerformedProcedureStep

from connector.ledger import Ledger
from connector.listener import Listener
from connector.mpps import StepService
from connector.spool import Spool
from connector.steps import Step, StepState
from radiology.settings import LedgerSettings, ListenerSettings, Settings
from tests.connector.modality import associate, named, scheduled, step
from tests.connector.samples import CT_IMAGE, strings_of_the_patient
from tests.orthanc import free_port


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where ledger and spool are."""
    return tmp_path_factory.mktemp("steps")


@pytest.fixture(scope="module")
def ledger(folder: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(Settings(data_folder=folder))
    yield ledger
    ledger.close()


@pytest.fixture(scope="module")
def listening(ledger: Ledger, folder: Path) -> Iterator[ListenerSettings]:
    settings = ListenerSettings(port=free_port(), minimum_free_bytes=1)
    with Listener(settings, Spool(folder / "spool"), lambda: None, [StepService(ledger.steps)]):
        yield settings


def test_the_book_is_the_same_on_either_database(url: str, study: str) -> None:
    book = Ledger(url, LedgerSettings()).steps
    assert book.begin(f"{study}.1", [study, f"{study}.2"], "CT1")
    assert not book.begin(f"{study}.1", [f"{study}.3"], "CT1")
    assert book.change(f"{study}.1", StepState.COMPLETED, [f"{study}.4"]) is StepState.IN_PROGRESS
    assert book.change(f"{study}.1", StepState.DISCONTINUED, []) is StepState.COMPLETED
    assert book.change(f"{study}.5", StepState.COMPLETED, []) is None
    for each in (study, f"{study}.2"):
        assert book.of_study(each) == [Step(f"{study}.1", each, StepState.COMPLETED, frozenset({f"{study}.4"}))]


def test_a_step_begins_and_ends_with_what_it_made(listening: ListenerSettings, ledger: Ledger) -> None:
    study_uid, step_uid, instance_uid = (str(generate_uid()) for _ in range(3))
    with step(listening) as say:
        assert say("N-CREATE", step_uid, scheduled(study_uid)).Status == 0x0000
        assert ledger.steps.of_study(study_uid) == [Step(step_uid, study_uid, StepState.IN_PROGRESS, frozenset())]
        assert say("N-SET", step_uid, named(StepState.COMPLETED, CT_IMAGE, [instance_uid])).Status == 0x0000
    assert ledger.steps.of_study(study_uid) == [Step(step_uid, study_uid, StepState.COMPLETED, frozenset({instance_uid}))]


@pytest.mark.parametrize("end", [StepState.COMPLETED, StepState.DISCONTINUED])
def test_what_has_ended_is_not_changed(listening: ListenerSettings, ledger: Ledger, end: StepState) -> None:
    study_uid, step_uid = str(generate_uid()), str(generate_uid())
    with step(listening) as say:
        say("N-CREATE", step_uid, scheduled(study_uid))
        say("N-SET", step_uid, named(end, CT_IMAGE, []))
        answer = say("N-SET", step_uid, named(StepState.IN_PROGRESS, CT_IMAGE, [generate_uid()]))
    assert (answer.Status, answer.ErrorID) == (0x0110, 0xA710)
    assert [known.state for known in ledger.steps.of_study(study_uid)] == [end]


def without(keyword: str) -> Dataset:
    said = scheduled(generate_uid())
    delattr(said, keyword)
    return said


def ended_at_once() -> Dataset:
    said = scheduled(generate_uid())
    said.PerformedProcedureStepStatus = "COMPLETED"
    return said


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (without("PerformedProcedureStepStatus"), 0x0120),
        (without("ScheduledStepAttributesSequence"), 0x0120),
        (scheduled(""), 0x0121),
        (scheduled("../../etc"), 0x0106),
        (ended_at_once(), 0x0106),
    ],
    ids=["no status", "no schedule", "no study", "a study that is a path", "ended at once"],
)
def test_a_step_that_says_too_little_or_nonsense_is_refused(listening: ListenerSettings, said: Dataset, status: int) -> None:
    with step(listening) as say:
        assert say("N-CREATE", generate_uid(), said).Status == status


def test_steps_of_a_known_or_an_unknown_uid(listening: ListenerSettings) -> None:
    step_uid = generate_uid()
    with step(listening) as say:
        assert say("N-SET", step_uid, named(StepState.COMPLETED, CT_IMAGE, [])).Status == 0x0112
        say("N-CREATE", step_uid, scheduled(generate_uid()))
        assert say("N-CREATE", step_uid, scheduled(generate_uid())).Status == 0x0111


def test_what_is_far_too_long_is_answered_and_the_next_one_is_served(listening: ListenerSettings) -> None:
    long = scheduled(generate_uid())
    long.CommentsOnThePerformedProcedureStep = "x" * (5 << 20)
    with step(listening) as say:
        assert say("N-CREATE", generate_uid(), long).Status == 0x0213
        assert say("N-CREATE", generate_uid(), scheduled(generate_uid())).Status == 0x0000


def test_nothing_of_the_patient_is_kept_or_logged(
    listening: ListenerSettings, ledger: Ledger, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = scheduled(study_uid := str(generate_uid()))
    said.PatientName, said.PatientID = "Čáp^Ňo", "C4N4RY"
    with step(listening) as say:
        assert say("N-CREATE", generate_uid(), said).Status == 0x0000
    assert ledger.steps.of_study(study_uid)
    written = capsys.readouterr()
    kept = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file()).decode(errors="replace")
    for word in strings_of_the_patient():
        assert word not in written.out + written.err + kept


def test_where_it_is_not_wanted_it_is_not_offered(tmp_path: Path) -> None:
    settings = ListenerSettings(port=free_port(), minimum_free_bytes=1)
    with Listener(settings, Spool(tmp_path / "spool"), lambda: None):
        association = associate(settings, (ModalityPerformedProcedureStep, "1.2.840.10008.1.2"))
        assert not association.is_established
        assert [context.result for context in association.rejected_contexts] == [3]
