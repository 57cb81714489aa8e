"""Results are delivered when the archive has committed to them; where it does not, they are sent again, or the ledger says why not."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian, generate_uid
from pynetdicom.sop_class import StorageCommitmentPushModel

from connector.delivery import Delivery, Reports
from connector.ledger import Ledger
from connector.listener import Listener
from connector.pacs import Pacs
from connector.spool import Spool
from radiology.errors import PacsRefused
from radiology.settings import LedgerSettings, ListenerSettings, PacsSettings, Settings
from tests.connector.committing import NOTHING_OFFERED, Commit, Committing, committing, report
from tests.connector.modality import associate
from tests.connector.samples import our_result
from tests.orthanc import Orthanc

NO_SUCH_INSTANCE = 0x0112


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(Settings(data_folder=tmp_path))
    yield ledger
    ledger.close()


@pytest.fixture
def pacs(orthanc: Orthanc) -> Pacs:
    return Pacs.connect(orthanc.settings.pacs)


@pytest.fixture
def results(pacs: Pacs) -> list[Dataset]:
    """Two results of one study, in the archive."""
    study_uid = str(generate_uid())
    stored = [our_result(study_uid), our_result(study_uid)]
    pacs.store(stored)
    return stored


@pytest.fixture
def listener(orthanc: Orthanc, ledger: Ledger, tmp_path: Path) -> Iterator[ListenerSettings]:
    """Our listener, at the address that the archive knows."""
    settings = orthanc.settings.listener
    with Listener(settings, Spool(tmp_path / "spool"), lambda: None, [Reports(ledger.commitments)]):
        yield settings


Asking = Callable[..., Any]


@pytest.fixture
def asking(orthanc: Orthanc, listener: ListenerSettings, ledger: Ledger, pacs: Pacs) -> Asking:
    """Opens a port that commits as it is told to, and gives it together with who asks there."""

    @contextmanager
    def opened(commit: Commit, seconds: float = 30, **options: Any) -> Iterator[tuple[Committing, Delivery]]:
        with committing(listener, commit, **options) as port:
            yield port, Delivery(_settings(orthanc, seconds, port=port.port), pacs, ledger.commitments)

    return opened


def _settings(orthanc: Orthanc, seconds: float = 30, **changed: Any) -> Settings:
    wanted: dict[str, Any] = {"storage_commitment": "ask", "commitment_seconds": seconds, **changed}
    return orthanc.settings.model_copy(update={"pacs": orthanc.settings.pacs.model_copy(update=wanted)})


def study_of(results: list[Dataset]) -> str:
    return str(results[0].StudyInstanceUID)


def test_the_book_is_the_same_on_either_database(url: str, study: str) -> None:
    book = Ledger(url, LedgerSettings()).commitments
    transaction_uid = book.ask(study, ["1.2.1", "1.2.2", "1.2.3"])
    assert (asked := book.find(transaction_uid)) is not None
    assert (asked.answered, asked.committed, asked.outcome) == (None, frozenset(), "no answer")
    book.answer(transaction_uid, ["1.2.1"], {"1.2.2": NO_SUCH_INSTANCE})
    book.answer(transaction_uid, ["1.2.1", "1.2.2", "1.2.3"], {})
    (answered,) = book.of_study(study)
    assert answered.committed == {"1.2.1"}, "the first answer counts, and what it passes over is not committed to"
    assert answered.failures == {"1.2.2": NO_SUCH_INSTANCE, "1.2.3": 0x0110}
    assert book.answer("1.2.4", [], {}) is None


@pytest.mark.usefixtures("listener")
def test_an_orthanc_commits_to_what_it_holds(orthanc: Orthanc, ledger: Ledger, pacs: Pacs, results: list[Dataset]) -> None:
    said = Delivery(_settings(orthanc), pacs, ledger.commitments).confirm(study_of(results), results)
    assert said == "2 results are in the archive, and it has committed to keep them."
    (transaction,) = ledger.commitments.of_study(study_of(results))
    assert transaction.committed == {str(result.SOPInstanceUID) for result in results}


@pytest.mark.usefixtures("listener")
def test_an_orthanc_does_not_commit_to_what_it_lost_and_gets_it_again(
    orthanc: Orthanc, ledger: Ledger, pacs: Pacs, results: list[Dataset]
) -> None:
    orthanc.empty()
    said = Delivery(_settings(orthanc), pacs, ledger.commitments).confirm(study_of(results), results)
    assert said.endswith("has committed to keep them.")
    first, second = ledger.commitments.of_study(study_of(results))
    assert set(first.failures.values()) == {NO_SUCH_INSTANCE}
    assert not second.failures
    assert pacs.stored(results) == second.committed


@pytest.mark.parametrize("stays", [False, True], ids=["on an association of its own", "on the same association"])
def test_the_answer_may_come_either_way(asking: Asking, results: list[Dataset], stays: bool) -> None:
    with asking(lambda uids: {}, stays=stays) as (port, delivery):
        assert "committed" in delivery.confirm(study_of(results), results)
        delivery.confirm(study_of(results), results)
        assert len(port.asked) == 1, "what was committed to is not asked again"


def test_what_is_refused_twice_is_not_delivered(asking: Asking, results: list[Dataset]) -> None:
    refused = str(results[1].SOPInstanceUID)
    with asking(lambda uids: {refused: NO_SUCH_INSTANCE}) as (port, delivery), pytest.raises(PacsRefused, match=rf"{refused} \(0x0112\)"):
        delivery.confirm(study_of(results), results)
    assert [len(asked.ReferencedSOPSequence) for asked in port.asked] == [2, 1], "only what it refused is sent and asked again"


def test_without_an_answer_the_query_is_believed_and_the_ledger_says_so(asking: Asking, results: list[Dataset]) -> None:
    with asking(lambda uids: None, seconds=0.2) as (_, delivery):
        said = delivery.confirm(study_of(results), results)
    assert said == "2 results are in the archive by its query; it did not commit to them within 0.2 s."


def test_a_late_answer_finds_its_question_after_a_restart(
    tmp_path: Path, pacs: Pacs, orthanc: Orthanc, asking: Asking, listener: ListenerSettings, results: list[Dataset]
) -> None:
    with asking(lambda uids: None, seconds=0.2) as (port, delivery):
        delivery.confirm(study_of(results), results)
        assert report(listener, port.asked[0], {}) == 0x0000
        restarted = Ledger.open(Settings(data_folder=tmp_path))
        again = Delivery(_settings(orthanc, port=port.port), pacs, restarted.commitments)
        assert "committed" in again.confirm(study_of(results), results)
        assert len(port.asked) == 1, "it was answered meanwhile"
        restarted.close()


def test_an_archive_that_does_not_offer_it_or_is_not_there_is_believed_by_its_query(
    orthanc: Orthanc, asking: Asking, results: list[Dataset]
) -> None:
    with asking(lambda uids: {}, offers=NOTHING_OFFERED) as (_, delivery):
        assert "offers no storage commitment" in delivery.confirm(study_of(results), results)
    assert "does not answer at its DICOM port" in delivery.confirm(study_of(results), results)


def test_a_report_that_nobody_waits_for_is_told_so(listener: ListenerSettings, results: list[Dataset]) -> None:
    unknown = Dataset()
    unknown.TransactionUID, unknown.ReferencedSOPSequence = generate_uid(), []
    assert report(listener, unknown, {}) == 0x0115


def test_a_modality_is_not_promised_what_the_archive_is_to_promise(listener: ListenerSettings) -> None:
    association = associate(listener, (StorageCommitmentPushModel, ImplicitVRLittleEndian))
    assert [context.result for context in association.rejected_contexts] == [3]


def test_callers_without_the_archive_are_found_at_the_start() -> None:
    with pytest.raises(ValueError, match="add ORTHANC to SIGHTLINE_LISTENER__CALLERS"):
        Settings(listener=ListenerSettings(callers={"CT1": ["127.0.0.1"]}), pacs=PacsSettings(storage_commitment="ask"))
