"""Structured logs: one JSON object a line, with the study UID and job id of the work at hand; never a name, an ID or a birth date."""

from __future__ import annotations

import logging
import sys

import structlog

from radiology.settings import LogSettings


def configure_logs(settings: LogSettings, service: str) -> None:
    """Set the process's logging up; only entry points call this. ``service`` names the process in every line."""
    level = logging.getLevelNamesMapping()[settings.level]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if settings.json_lines else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer], foreign_pre_chain=shared
        )
    )
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    structlog.contextvars.bind_contextvars(service=service)
