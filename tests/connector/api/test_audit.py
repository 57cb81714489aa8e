"""The audit trail over HTTP."""

import sqlalchemy as sa
from fastapi.testclient import TestClient

from connector.audit import Event
from connector.database import Database
from connector.ledger import Ledger
from connector.tables import audit
from radiology.settings import Settings


def test_the_trail_is_told_newest_first_by_study_and_in_pages(client: TestClient, ledger: Ledger) -> None:
    for number in range(4):
        ledger.audit.note(Event.SEEN, who="marie", address="10.0.0.7", study_uid=f"1.2.{number % 2}")
    told = client.get("/api/v1/audit").json()
    assert [each["event"] for each in told] == ["trail read", "seen", "seen", "seen", "seen"]
    assert [each["number"] for each in client.get("/api/v1/audit", params={"study_uid": "1.2.1"}).json()] == [4, 2]
    assert [each["number"] for each in client.get("/api/v1/audit", params={"before": 3, "limit": 1}).json()] == [2]


def test_a_chain_that_was_broken_is_said(client: TestClient, ledger: Ledger, settings: Settings) -> None:
    ledger.audit.note(Event.SEEN, who="marie", study_uid="1.2.3")
    whole = client.get("/api/v1/audit/chain").json()
    assert (whole["ok"], whole["entries"], len(whole["hash"])) == (True, 1, 64)
    database = Database(settings.ledger_url)
    with database.transaction() as connection:
        connection.execute(sa.update(audit).values(who="somebody else"))
    database.close()
    broken = client.get("/api/v1/audit/chain").json()
    assert not broken["ok"]
    assert "entry 1" in broken["why"]
