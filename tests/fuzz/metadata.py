"""Headers as the archive writes them in JSON (PS3.18 F): a study and where its images lie, or a sentence that says why not."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from connector.pacs import Pacs
from connector.routing import route
from connector.rules import Rules
from radiology import image
from radiology.errors import PacsError, StudyError
from radiology.settings import WatcherSettings
from radiology.study import Study, without_pixels
from tests.connector.samples import ct_series, radiograph
from tests.dicom_sr.sources import ct_series as whole_ct_series
from tests.dicom_sr.sources import enhanced
from tests.fuzz.trees import mutate

__all__ = ["mutate", "play", "seeds"]

_RULES = Rules.model_validate({"rules": [{"name": "neck", "body_part": "NECK", "station": "A*", "description": "*neck*"}]})


def seeds() -> Mapping[str, bytes]:
    """Two slices, a film, and several frames in one."""
    made = {"slices": ct_series("1.2.3", 2), "film": [radiograph("1.2.3")], "frames": enhanced(whole_ct_series(2, 8, 8), [1, 0])}
    return {name: json.dumps([without_pixels(each).to_json_dict() for each in made[name]]).encode() for name in made}


class _Archive:
    """An archive that has one series, and gives these headers for it."""

    def __init__(self, headers: Any) -> None:
        self._headers = headers

    def retrieve_series_metadata(self, *_: Any) -> Any:
        return self._headers


def play(data: bytes) -> None:
    """Fetch them, judge the study by rules, and place its images."""
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):  # which dicomweb-client finds before us
        return
    try:
        whole = Study.from_instances(Pacs(_Archive(told))._headers("", ""))  # type: ignore[arg-type]
        study = route(whole, WatcherSettings()).study or whole
        _RULES.judge_study(study, ["CT1"], datetime(2026, 1, 2, tzinfo=UTC))
        for series in study.series:
            image.outline(series)
    except (PacsError, StudyError):
        pass
