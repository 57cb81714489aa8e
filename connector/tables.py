"""The ledger's tables, the same on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime

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
    sa.Column("priority", sa.Integer, nullable=False, server_default="1", comment="Rank of a radiology.jobs.Priority."),
    sa.Column("not_before", _Time, comment="QUEUED: when it may be taken again, after the archive failed it; else none."),
    sa.UniqueConstraint("study_uid", "revision"),
    sa.Index("jobs_in_line", "state", "priority", "job_id"),
)
sources = sa.Table(
    "sources",
    TABLES,
    sa.Column("study_uid", sa.String(64), primary_key=True),
    sa.Column("ae_title", sa.String(16), primary_key=True, comment="Of who has sent instances of the study to the listener."),
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
pauses = sa.Table(
    "pauses",
    TABLES,
    sa.Column("pause_id", sa.Integer, primary_key=True),
    sa.Column("since", _Time, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("ended", _Time, index=True, comment="None while it lasts."),
    sa.Column("ended_by", sa.Text, nullable=False, default=""),
)
associations = sa.Table(
    "associations",
    TABLES,
    sa.Column("association", sa.String(64), primary_key=True),
    sa.Column("study_uid", sa.String(64), primary_key=True),
    sa.Column("calling_ae", sa.String(16), nullable=False),
    sa.Column("last_seen", _Time, nullable=False),
)
progress = sa.Table(
    "progress",
    TABLES,
    sa.Column("job_id", sa.ForeignKey("jobs.job_id", ondelete="CASCADE"), primary_key=True),
    sa.Column("share", sa.Float, nullable=False),
    sa.Column("doing", sa.Text, nullable=False),
    sa.Column("time", _Time, nullable=False, comment="Older than the job's last step: of an earlier attempt."),
)
thinking = sa.Table(
    "thinking",
    TABLES,
    sa.Column("job_id", sa.ForeignKey("jobs.job_id", ondelete="CASCADE"), primary_key=True),
    sa.Column("steps", sa.JSON, nullable=False),
)
standings = sa.Table(
    "standings",
    TABLES,
    sa.Column("study_uid", sa.String(64), primary_key=True),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("findings", sa.Integer, nullable=False),
    sa.Column("is_signed", sa.Boolean, nullable=False),
    sa.Column("document_uid", sa.String(64), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
)
decisions = sa.Table(
    "decisions",
    TABLES,
    sa.Column("document_uid", sa.String(64), primary_key=True, comment="The findings that were decided about: one decision each."),
    sa.Column("study_uid", sa.String(64), nullable=False, index=True),
    sa.Column("person", sa.JSON, nullable=False),
    sa.Column("moment", _Time, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("request", sa.JSON(none_as_null=True), comment="What was asked, until its results are in the archive; then nothing."),
    sa.Column("result_uids", sa.JSON, nullable=False),
    sa.Column("due", _Time, comment="When whoever stores its results is taken for dead; none where nobody does."),
    sa.Column("is_stored", sa.Boolean, nullable=False),
)
commitments = sa.Table(
    "commitments",
    TABLES,
    sa.Column("transaction_uid", sa.String(64), primary_key=True),
    sa.Column("study_uid", sa.String(64), nullable=False, index=True),
    sa.Column("instance_uids", sa.JSON, nullable=False),
    sa.Column("asked", _Time, nullable=False),
    sa.Column("answered", _Time, comment="None where the archive has not said what it commits to."),
    sa.Column("failures", sa.JSON, nullable=False, comment="Failure Reason by SOP Instance UID."),
)
steps = sa.Table(
    "steps",
    TABLES,
    sa.Column("step_uid", sa.String(64), primary_key=True),
    sa.Column("study_uid", sa.String(64), primary_key=True, index=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("instance_uids", sa.JSON, nullable=False),
    sa.Column("calling_ae", sa.String(16), nullable=False),
    sa.Column("updated", _Time, nullable=False),
)
questions = sa.Table(
    "questions",
    TABLES,
    sa.Column("question_id", sa.Integer, primary_key=True),
    sa.Column("study_uid", sa.String(64), nullable=False, index=True),
    sa.Column("person", sa.JSON, nullable=False),
    sa.Column("prompt", sa.JSON, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("answer", sa.JSON(none_as_null=True)),
    sa.Column("created", _Time, nullable=False),
    sa.Column("updated", _Time, nullable=False),
    sa.Column("due", _Time, comment="QUEUED: when its message is sent again. RUNNING: when the worker's lease ends."),
    sa.Column("worker", sa.Text, nullable=False, default=""),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
)
audit = sa.Table(
    "audit",
    TABLES,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("time", _Time, nullable=False),
    sa.Column("event", sa.String(16), nullable=False),
    sa.Column("is_success", sa.Boolean, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("study_uid", sa.String(64), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False, comment="Of this entry and the hash of the one before it."),
)
