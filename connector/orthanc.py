"""What only Orthanc's own interface tells: its log of changes, who sent what, and files as they are.

The log is read from a place that survives restarts: ``/changes`` numbers every change, for good, in Orthanc's database, and what was
not read while the watcher was down is still there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from orthanc_api_client import OrthancApiClient
from orthanc_api_client import exceptions as orthanc_errors
from pydicom import Dataset

from dicom_sr import is_ours
from radiology.errors import PacsRefused, PacsUnreachable
from radiology.settings import PacsSettings

_CHANGES_AT_ONCE = 1000


@dataclass(frozen=True)
class News:
    """What came since a cursor: the studies that got images, the next cursor, and whether there is more to read."""

    study_uids: frozenset[str]
    cursor: int
    more: bool


class ChangeLog:
    """The log of one Orthanc, and what it knows of single studies and instances.

    Methods raise a :class:`~radiology.errors.PacsError` where it does not answer as it should.
    """

    def __init__(self, settings: PacsSettings) -> None:
        self._url = settings.orthanc_url
        self._timeout_seconds = settings.timeout_seconds
        self._orthanc = OrthancApiClient(settings.orthanc_url.rstrip("/") + "/", settings.user, settings.password.get_secret_value())

    def end(self) -> int:
        """Return the cursor after everything that has happened so far."""
        return int(self._ask("/changes?last")["Last"])

    def since(self, cursor: int) -> News:
        """Return which studies got images after ``cursor``; our own results are no images.

        A cursor beyond the end means that Orthanc's database was replaced: the log is read from its start.
        """
        answer = self._ask(f"/changes?since={cursor}&limit={_CHANGES_AT_ONCE}")
        if int(answer["Last"]) < cursor:
            return self.since(0)
        arrived = [change["ID"] for change in answer["Changes"] if change["ChangeType"] == "NewInstance"]
        return News(self._studies_of(arrived), int(answer["Last"]), more=not answer["Done"])

    def senders(self, study_uid: str) -> frozenset[str]:
        """Return the AE titles from which Orthanc got a study by C-STORE. One instance of each series is asked, and none of our results."""
        found = set()
        for study in self._ask("/tools/lookup", study_uid):
            for series in self._find(f"/studies/{study['ID']}/series") or [] if study["Type"] == "Study" else []:
                if not is_ours(_tags(series)):
                    metadata = self._find(f"/instances/{series['Instances'][0]}/metadata?expand") or {}
                    found.add(metadata.get("RemoteAET", ""))
        return frozenset(found - {""})

    def file(self, instance_uid: str) -> bytes | None:
        """Return an instance as Orthanc has it on its disk; None where it has none of that SOP Instance UID."""
        found = next((each for each in self._ask("/tools/lookup", instance_uid) if each["Type"] == "Instance"), None)
        if found is None:
            return None
        with self._translated(path := f"/instances/{found['ID']}/file"):
            return bytes(self._orthanc.get_binary(path, timeout=self._timeout_seconds))

    def _studies_of(self, instances: list[str]) -> frozenset[str]:
        """Return the Study Instance UIDs of instances, given by Orthanc's names; one series is looked up once."""
        studies = set()
        unknown = set(instances)
        while unknown:
            instance = self._find(f"/instances/{unknown.pop()}")
            series = self._find(f"/series/{instance['ParentSeries']}") if instance else None
            study = self._find(f"/studies/{series['ParentStudy']}") if series else None
            if series is None or study is None:  # deleted meanwhile
                continue
            unknown.difference_update(series["Instances"])
            if not is_ours(_tags(series)):
                studies.add(str(_tags(study).StudyInstanceUID))
        return frozenset(studies)

    def _find(self, path: str) -> Any:
        try:
            return self._ask(path)
        except PacsRefused as error:
            if isinstance(error.__cause__, orthanc_errors.ResourceNotFound):
                return None
            raise

    def _ask(self, path: str, question: str = "") -> Any:
        """Return what Orthanc answers to a GET, or to a POST of ``question``."""
        with self._translated(path):
            # Not the client's own methods: without a time-out of ours they would wait for ever.
            if question:
                return self._orthanc.post(path, data=question, timeout=self._timeout_seconds).json()
            return self._orthanc.get_json(path, timeout=self._timeout_seconds)

    @contextmanager
    def _translated(self, path: str) -> Iterator[None]:
        try:
            yield
        except orthanc_errors.HttpError as error:
            raise PacsRefused(
                f"Orthanc answered {path} with HTTP {error.http_status_code}; see that SIGHTLINE_PACS__ORTHANC_URL and _USER are right."
            ) from error
        except orthanc_errors.OrthancApiException as error:
            raise PacsUnreachable(f"Orthanc at {self._url} does not answer; see that it runs.") from error
        except ValueError as error:
            raise PacsRefused(f"{self._url} does not answer as Orthanc does; correct SIGHTLINE_PACS__ORTHANC_URL.") from error


def _tags(resource: dict[str, Any]) -> Dataset:
    """Return the tags that Orthanc keeps of a series or study."""
    tags = Dataset()
    for keyword in ("Modality", "Manufacturer", "StudyInstanceUID"):
        if keyword in resource["MainDicomTags"]:
            setattr(tags, keyword, resource["MainDicomTags"][keyword])
    return tags
