"""A trial of the rules on files: which rule would decide about them, why not those before it, and what would come of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from connector.routing import route
from connector.rules import Rules, facts_of
from dicom_sr import is_ours
from radiology.claims import drop_illegible
from radiology.errors import StudyError
from radiology.settings import WatcherSettings
from radiology.study import Study


def studies_in(path: Path) -> list[Study]:
    """Return the studies of a DICOM file or a folder of such; what is no DICOM, and our own results, are passed over.

    Raises:
        StudyError: there is no image.
    """
    headers: dict[str, list[Dataset]] = defaultdict(list)
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        try:
            header = dcmread(file, stop_before_pixels=True)
        except (InvalidDicomError, IsADirectoryError):
            continue
        drop_illegible(header)
        if "SeriesInstanceUID" in header and not is_ours(header):
            headers[str(header.StudyInstanceUID)].append(header)
    if not headers:
        raise StudyError(f"{path} holds no DICOM image; name a DICOM file or a folder of them.")
    return [Study.from_instances(each) for each in headers.values()]


def tried(study: Study, rules: Rules, wanted: WatcherSettings, sources: list[str], arrived: datetime) -> Iterator[str]:
    """Yield what the watcher would make of a study, a line at a time."""
    chosen = route(study, wanted)
    yield f"Study {study.study_uid}: {chosen.description or 'no image for the model'}"
    yield f"  {chosen.reason}"
    if chosen.study is None:
        yield "  => refused, whatever the rules say"
        return
    for series, facts in zip(chosen.study.series, facts_of(chosen.study, sources, arrived), strict=True):
        ruling = rules.judge(facts)
        yield f"  series {series.series_uid}, {series.modality} {series.body_part}".rstrip()
        yield from (f'    not "{name}": {obstacle}' for name, obstacle in ruling.passed_over)
        yield f"    {ruling.why or 'There are no rules.'}"
    decided = rules.judge_study(chosen.study, sources, arrived)
    yield f"  => read, {decided.priority}" if decided.read else "  => refused"
