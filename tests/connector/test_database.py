"""A ledger of an earlier release goes on in a newer one."""

import sqlalchemy as sa

from connector.ledger import Ledger
from radiology.jobs import Priority
from tests.connector.conftest import LIMITS


def test_tables_of_an_earlier_release_get_what_they_lack(own_url: str) -> None:
    early = Ledger(own_url, LIMITS)
    waiting = early.queue(early.arriving("1.2.3", "CT CHEST, 3 images", "Coming.").job_id, "d1", "Quiet.")
    early.close()
    engine = sa.create_engine(own_url)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP INDEX jobs_in_line"))
        connection.execute(sa.text("DROP TABLE sources"))
        for column in ("priority", "not_before"):
            connection.execute(sa.text(f"ALTER TABLE jobs DROP COLUMN {column}"))
    ledger = Ledger(own_url, LIMITS)
    assert ledger.next_job() == waiting.job_id
    assert ledger.job(waiting.job_id) == waiting
    assert ledger.prioritise("1.2.3", Priority.URGENT, "admin").priority is Priority.URGENT
    assert "jobs_in_line" in {index["name"] for index in sa.inspect(engine).get_indexes("jobs")}
    ledger.close()
    engine.dispose()
