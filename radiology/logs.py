"""Structured logs: one JSON object a line, with the study UID and job id of the work at hand; never a name, an ID or a birth date."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
import warnings
from typing import Any

import structlog

from radiology.errors import SightlineError
from radiology.settings import LogSettings

_QUOTE_WHAT_THEY_READ = ("pydicom", "pynetdicom", "highdicom")
"""Libraries that repeat a value in what they say about it, a birth date that is none for example; what matters of it our own lines say."""


def configure_logs(settings: LogSettings, service: str) -> None:
    """Set the process's logging up; only entry points call this. ``service`` names the process in every line."""
    level = logging.getLevelNamesMapping()[settings.level]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _tell_where,
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
    for library in _QUOTE_WHAT_THEY_READ:
        logging.getLogger(library).setLevel(logging.CRITICAL)
        warnings.filterwarnings("ignore", module=rf"{library}\b")
    log = structlog.get_logger()
    sys.excepthook = lambda kind, error, trace: log.critical("ended by an error nobody foresaw", exc_info=error)
    threading.excepthook = lambda ended: log.error("a thread ended by an error nobody foresaw", exc_info=ended.exc_value)
    structlog.contextvars.bind_contextvars(service=service)


def _tell_where(logger: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Say of an exception what kind it is and where it came from; its words only where they are ours: others quote what they read."""
    told = event.pop("exc_info", None)
    error = told if isinstance(told, BaseException) else told[1] if isinstance(told, tuple) else sys.exc_info()[1] if told else None
    said = []
    while error is not None:
        words = f": {error}" if isinstance(error, SightlineError) else ""
        said.append("".join(traceback.format_tb(error.__traceback__)) + type(error).__name__ + words)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return {**event, "exception": "\nwhich came of\n".join(said)} if said else event
