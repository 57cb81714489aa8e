"""The audit trail: in order, all of it, and noticed when somebody changes it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

import pytest
import sqlalchemy as sa

from connector.audit import Audit, Event
from connector.database import Database
from connector.ledger import Ledger
from connector.tables import audit
from radiology.errors import LedgerError
from tests.connector.conftest import LIMITS


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    yield database
    database.close()


@pytest.fixture
def trail(database: Database) -> Audit:
    trail = Audit(database)
    trail.note(Event.SIGNED_IN, who="marie", address="10.0.0.7", detail="radiologist")
    trail.note(Event.SEEN, who="marie", address="10.0.0.7", study_uid="1.2.3")
    trail.note(Event.JUDGED, who="marie", address="10.0.0.7", study_uid="1.2.3", detail="verdicts on 1.2.3.4")
    return trail


def test_entries_are_kept_in_order(trail: Audit) -> None:
    assert [(each.number, each.event, each.who, each.study_uid) for each in trail.entries()] == [
        (1, Event.SIGNED_IN, "marie", ""),
        (2, Event.SEEN, "marie", "1.2.3"),
        (3, Event.JUDGED, "marie", "1.2.3"),
    ]
    count, newest = trail.verify()
    trail.note(Event.SEEN, study_uid="1.2.4")
    assert (count, trail.verify()[0]) == (3, 4)
    assert trail.verify()[1] != newest


@pytest.mark.parametrize(
    "change",
    [
        sa.update(audit).where(audit.c.number == 2).values(study_uid="1.2.9"),
        sa.update(audit).where(audit.c.number == 1).values(is_success=False),
        sa.delete(audit).where(audit.c.number == 2),
        sa.delete(audit).where(audit.c.number == 1),
        sa.update(audit).where(audit.c.number == 3).values(hash="0" * 64),
    ],
    ids=["another study", "another outcome", "taken out", "first taken out", "another hash"],
)
def test_a_trail_that_was_changed_is_noticed(database: Database, trail: Audit, change: sa.Update | sa.Delete) -> None:
    with database.transaction() as connection:
        connection.execute(change)
    with pytest.raises(LedgerError, match="audit trail was changed at entry"):
        trail.verify()


def test_many_who_write_at_once_make_one_chain(url: str) -> None:
    ledgers = [Ledger(url, LIMITS) for _ in range(4)]
    before = ledgers[0].audit.verify()[0]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda turn: ledgers[turn % 4].audit.note(Event.SEEN, study_uid=f"1.2.{turn}"), range(40)))
    assert ledgers[0].audit.verify()[0] == before + 40
    for ledger in ledgers:
        ledger.close()


def test_an_entry_is_an_audit_message(trail: Audit) -> None:
    signed_in, seen, _ = (ElementTree.fromstring(each.message()) for each in trail.entries())
    for root, code, action in ((signed_in, "110114", "E"), (seen, "110103", "R")):
        happened = root.find("EventIdentification")
        assert happened is not None
        assert (happened.get("EventActionCode"), happened.get("EventOutcomeIndicator")) == (action, "0")
        assert happened.find("EventID").attrib == {  # type: ignore[union-attr]
            "csd-code": code,
            "codeSystemName": "DCM",
            "originalText": {"110114": "User Authentication", "110103": "DICOM Instances Accessed"}[code],
        }
        assert root.find("ActiveParticipant").get("UserID") == "marie"  # type: ignore[union-attr]
        assert root.find("AuditSourceIdentification") is not None
    study = seen.find("ParticipantObjectIdentification")
    assert study is not None
    assert study.get("ParticipantObjectID") == "1.2.3"
