"""The ledger's database: SQLite on one machine, PostgreSQL for more, the same code on both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.schema import CreateColumn

from connector.tables import TABLES
from radiology.errors import LedgerError


class Database:
    """The tables of one installation. Thread-safe; each process opens its own.

    Every method raises :class:`~radiology.errors.LedgerError` where the database cannot be used.
    """

    def __init__(self, url: str) -> None:
        """Open the database at an SQLAlchemy ``url``, and make its tables where they are missing."""
        try:
            self._engine = _open(url)
        except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, OSError) as error:
            raise LedgerError(f"The ledger's URL or folder cannot be used; correct SIGHTLINE_LEDGER__URL: {error}") from error
        with self.transaction() as connection:
            if connection.dialect.name == "postgresql":  # two processes that start together would both try to create
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(5105)"))
            TABLES.create_all(connection)
            _catch_up(connection)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A transaction that may write: all of it happens, or nothing."""
        with self._translated(), self._engine.begin() as connection:
            yield connection

    def rows(self, query: sa.Select[Any]) -> list[sa.Row[Any]]:
        """Return what a query finds. Does not wait for those who write."""
        with self.reading() as connection:
            return list(connection.execute(query))

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection for queries that belong together. Does not wait for those who write."""
        with self._translated(), self._engine.connect().execution_options(is_reading=True) as connection:
            yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.SQLAlchemyError as error:
            cause = str(getattr(error, "orig", None) or error).splitlines()[0]
            place = self._engine.url.render_as_string(hide_password=True)
            raise LedgerError(f"The ledger {place} cannot be used; look at its disk and its database server: {cause}") from error


def put(connection: sa.Connection, table: sa.Table, key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Write a row under its key, whether it was there or not, and whoever else does so at the same time."""
    known = sa.update(table).where(*(table.c[name] == value for name, value in key.items())).values(**values)
    if connection.execute(known).rowcount == 0 and not add(connection, table, {**key, **values}):
        connection.execute(known)


def add(connection: sa.Connection, table: sa.Table, row: Mapping[str, Any]) -> bool:
    """Write a row; return False, and change nothing, where there is one under its key."""
    try:
        with connection.begin_nested():
            connection.execute(sa.insert(table).values(**row))
    except sa.exc.IntegrityError:
        return False
    return True


def alone(connection: sa.Connection) -> None:
    """Wait until no other transaction that asked for this goes on. On SQLite none does: there those who write take turns anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(5106)"))


def _catch_up(connection: sa.Connection) -> None:
    """Give tables of an earlier release the columns and indexes that have come since; such a column has a default, or may be empty."""
    present = sa.inspect(connection)
    for table in TABLES.sorted_tables:
        known = {column["name"] for column in present.get_columns(table.name)}
        for column in table.columns:
            if column.name not in known:
                described = CreateColumn(column).compile(dialect=connection.dialect)
                connection.execute(sa.text(f"ALTER TABLE {table.name} ADD COLUMN {described}"))
        for index in table.indexes:
            index.create(connection, checkfirst=True)


def _open(url: str) -> sa.Engine:
    """Return the engine for an SQLAlchemy URL; makes the folder of an SQLite file. Nothing is connected yet."""
    place = sa.make_url(url)
    if place.get_backend_name() != "sqlite":
        return sa.create_engine(place, pool_pre_ping=True)
    if place.database:
        Path(place.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(place, connect_args={"timeout": 30})

    @sa.event.listens_for(engine, "connect")
    def _tune(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # this driver would begin transactions by itself, and too late
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        # Taken at once: a transaction that reads first and writes later fails with "database is locked" instead of waiting.
        connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get("is_reading") else "BEGIN IMMEDIATE")

    return engine
