"""A ledger on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest
import sqlalchemy as sa

from connector.ledger import Ledger
from radiology.settings import LedgerSettings
from tests.servers import postgres

LIMITS = LedgerSettings(lease_seconds=60, maximum_attempts=2, retry_seconds=10)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def own_url(url: str, tmp_path: Path) -> Iterator[str]:
    """A database of this test's own, for what is about all jobs."""
    if url.startswith("sqlite"):
        yield url
        return
    name = f"own{crc32(str(tmp_path).encode())}"
    server = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    yield sa.make_url(url).set(database=name).render_as_string(hide_password=False)
    server.dispose()


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    ledger = Ledger(url, LIMITS)
    yield ledger
    ledger.close()


@pytest.fixture
def study(request: pytest.FixtureRequest) -> str:
    """A study UID of this test's own: the PostgreSQL server is shared."""
    return f"1.2.{crc32(request.node.name.encode())}"
