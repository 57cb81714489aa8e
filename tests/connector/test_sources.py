"""Who sends a study now, and who has ever sent it, on SQLite and on PostgreSQL."""

from datetime import UTC, datetime, timedelta

from connector.ledger import Ledger


def test_open_associations_are_known_until_they_close_or_fall_silent(ledger: Ledger, study: str) -> None:
    start = datetime.now(UTC)
    ledger.sources.association_open(f"{study}.a", study, "SCANNER")
    ledger.sources.association_open(f"{study}.a", study, "SCANNER")
    ledger.sources.association_open(f"{study}.b", study, "WORKSTATION")
    assert sorted(ledger.sources.open_associations(study, start)) == ["SCANNER", "WORKSTATION"]
    assert ledger.sources.open_associations(study, start + timedelta(minutes=1)) == []
    ledger.sources.association_closed(f"{study}.a")
    assert ledger.sources.open_associations(study, start) == ["WORKSTATION"]
    ledger.sources.forget_associations()
    assert ledger.sources.open_associations(study, start) == []
