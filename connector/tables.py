"""The ledger's tables, the same on SQLite and PostgreSQL, and how their database is opened."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa


class _Time(sa.TypeDecorator[datetime]):
    """A moment in UTC; SQLite keeps no time zone, so it is put back on the way out."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


TABLES = sa.MetaData()
jobs = sa.Table(
    "jobs",
    TABLES,
    sa.Column("job_id", sa.Integer, primary_key=True),
    sa.Column("study_uid", sa.String(64), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False, default=""),
    sa.Column("inputs_digest", sa.String(64), nullable=False, default=""),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("created", _Time, nullable=False),
    sa.Column("updated", _Time, nullable=False),
    sa.Column("due", _Time, comment="QUEUED: when its message is sent again. RUNNING: when the worker's lease ends."),
    sa.Column("worker", sa.Text, nullable=False, default=""),
    sa.Column("weights_hash", sa.String(64), nullable=False, default=""),
    sa.Column("result_uids", sa.JSON, nullable=False, default=list),
    sa.Column("parts", sa.JSON, nullable=False, default=dict),
    sa.Column("raw_answer", sa.Text, nullable=False, default=""),
    sa.UniqueConstraint("study_uid", "revision"),
)
transitions = sa.Table(
    "transitions",
    TABLES,
    sa.Column("transition_id", sa.Integer, primary_key=True),
    sa.Column("job_id", sa.ForeignKey("jobs.job_id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("source", sa.String(16)),
    sa.Column("target", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("time", _Time, nullable=False),
)
memory = sa.Table(
    "memory",
    TABLES,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
associations = sa.Table(
    "associations",
    TABLES,
    sa.Column("association", sa.String(64), primary_key=True),
    sa.Column("study_uid", sa.String(64), primary_key=True),
    sa.Column("calling_ae", sa.String(16), nullable=False),
    sa.Column("last_seen", _Time, nullable=False),
)


def open_database(url: str) -> sa.Engine:
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
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
