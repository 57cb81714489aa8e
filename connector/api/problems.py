"""Every error of the API as a problem document (RFC 9457)."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from connector.schemas.person import Person
from connector.schemas.problems import Conflict, Problem
from radiology.errors import (
    DecidedMeanwhile,
    IllegalTransition,
    IncompleteStudy,
    LedgerError,
    PacsError,
    PacsUnreachable,
    QueueError,
    RulesError,
    SightlineError,
    StudyError,
    UnknownStudy,
    VerdictError,
)

PROBLEM_JSON = "application/problem+json"


def described(model: type[Problem]) -> dict[str, Any]:
    """Return how a problem is described in OpenAPI: FastAPI by itself would say that it comes as ``application/json``."""
    return {"model": model, "content": {PROBLEM_JSON: {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}}


def problem(request: Request, error: Exception) -> Response:
    """Return the problem that an error is. What was typed is not repeated in it."""
    match error:
        case StarletteHTTPException():
            status, detail = error.status_code, str(error.detail)
        case RequestValidationError():
            status, detail = 422, "; ".join(map(_said, error.errors())) + "."
        case DecidedMeanwhile():
            person = Person.of(error.observer) if error.observer else None
            conflict = Conflict(
                **Problem.of(409, str(error)).model_dump(), document_uid=error.document_uid, person=person, moment=error.moment
            )
            return JSONResponse(conflict.model_dump(mode="json"), 409, media_type=PROBLEM_JSON)
        case UnknownStudy() | IncompleteStudy():
            status, detail = 404, str(error)
        case VerdictError() | RulesError() | StudyError():
            status, detail = 422, str(error)
        case PacsUnreachable():
            status, detail = 503, str(error)
        case PacsError():
            status, detail = 502, str(error)
        case IllegalTransition():
            status, detail = 409, str(error)
        case LedgerError() | QueueError():
            status, detail = 503, str(error)
        case SightlineError():
            status, detail = 500, str(error)
        case _:
            status, detail = 500, "Something here is broken; the API's log says what."
    return JSONResponse(Problem.of(status, detail).model_dump(), status, media_type=PROBLEM_JSON)


def _said(fault: dict[str, Any]) -> str:
    """Where a fault is, ``places.0.mask`` rather than ``mask`` but without where the request has it, and what is expected there."""
    place, kind, message = fault["loc"], fault["type"], fault["msg"]
    if kind == "extra_forbidden":  # the name was typed too
        place, message = (*place[:-1], "?"), "Unknown name"
    elif kind == "union_tag_invalid":
        message = f"Input should be one of {fault['ctx']['expected_tags']}"
    return f"{'.'.join(map(str, place[1:])) or place[-1]}: {message}"
