"""What a radiologist's browser sends, as JSON: verdicts on the report in force, with masks, or why they cannot be taken."""

import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta

from pydantic import ValidationError

from connector.masks import pack
from connector.schemas.decisions import DecisionIn
from connector.verdicts import _REQUEST, _verdict
from radiology.errors import VerdictError
from radiology.verdict import Decision, judge
from tests.dicom_sr.reports import STARTED
from tests.dicom_sr.sources import CT_SERIES_UID
from tests.fuzz.results import first_reading
from tests.fuzz.trees import mutate

__all__ = ["mutate", "play", "seeds"]

_PERSON = {"name": "Röntgen^Wilhelm", "organization": "Klinikum"}


def seeds() -> Mapping[str, bytes]:
    """Every verdict, places of every form, and a rejection."""
    _, version, _ = first_reading()
    region = version.report.findings[0].regions[0]
    assert region.mask is not None
    drawn = {"series_uid": CT_SERIES_UID, "start": region.box.start, "stop": region.box.stop, "mask": pack(region.mask)}
    finding = {"sentence": "A nodule.", "name": "nodule", "presence": "present", "side": "right"}
    verdicts = [
        {"verdict": "accept", "number": 2},
        {"verdict": "reject", "number": 3, "reason": "wording"},
        {"verdict": "edit", "number": 1, **finding, "places": [{"tracking_uid": region.tracking_uid}, drawn]},
        {"verdict": "add", **finding, "places": [{"series_uid": CT_SERIES_UID, "start": [0, 1, 2], "stop": [1, 3, 4]}]},
        {"verdict": "restore", "number": 4, "version": None},
    ]
    one_bit = {**drawn, "start": [0, 0, 0], "stop": [1, 1, 1], "mask": base64.b64encode(b"\x80").decode()}
    bodies = {
        "all": {"verdicts": verdicts, "sign": True, "impression": "A nodule."},
        "one-bit": {"verdicts": [{"verdict": "add", **finding, "places": [one_bit]}]},
        "rejection": {"reason": "wrong place"},
    }
    return {name: json.dumps({"document_uid": version.document_uid, "person": _PERSON, **body}).encode() for name, body in bodies.items()}


def play(data: bytes) -> None:
    """Validate it, and judge the report by it."""
    study, version, results = first_reading()
    try:
        request = _REQUEST.validate_json(data)
    except ValidationError:
        return
    if isinstance(request, DecisionIn):
        moment = STARTED + timedelta(hours=1)
        with suppress(VerdictError):
            verdicts = tuple(_verdict(asked, version, study, results) for asked in request.verdicts)
            decision = Decision(version.document_uid, request.person.observer, moment, verdicts, request.sign, request.impression)
            judge(version.report, decision)
