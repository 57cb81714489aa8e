"""The archive, as the rest of the house sees it: fetch a study, store results, and know that they are there.

Anything that speaks dicomweb-client's protocol will do: an archive over DICOMweb, or a folder of files. Its failures come
out as :class:`~radiology.errors.PacsUnreachable` (no answer) or :class:`~radiology.errors.PacsRefused` (it said no).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import requests
from dicomweb_client import DICOMwebClient
from dicomweb_client.api import DICOMClient
from pydicom import Dataset
from pydicom.errors import InvalidDicomError
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from connector import association
from connector.spool import is_uid
from dicom_sr import is_ours
from dicom_sr.identity import MODALITIES
from radiology.claims import drop_illegible, text
from radiology.errors import IncompleteStudy, PacsFull, PacsRefused, PacsUnreachable, SopClassRefused, StudyError
from radiology.settings import PacsSettings
from radiology.study import Series, Study

_ANY_TRANSFER_SYNTAX = (("application/dicom", "*"),)
_OUT_OF_RESOURCES = 0xA700
"""Class of Failure Reasons and statuses (PS3.4 Table B.2-1)."""
_UNREACHABLE = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
_CHANGED_BY_RESULTS = frozenset({"00080061", "00080062", "00201206", "00201208"})
"""Tags of what a list of studies says of the series and instances in them (PS3.18 10.6.3.3.1)."""
_ONCE_MORE = Retry(1, connect=0, read=1, redirect=0, status=0, other=0, allowed_methods=None)
"""For a kept connection that the archive closes just when a request is on its way, which Orthanc does after an idle second. Nothing
that is asked of an archive here does harm when it is asked twice."""


class _Adapter(HTTPAdapter):
    """How requests go to the archive."""

    def __init__(self) -> None:
        super().__init__(max_retries=_ONCE_MORE)

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        """Send with a query that Orthanc understands."""
        place, mark, query = str(request.url).partition("?")
        request.url = f"{place}{mark}{decode_separators(query)}"
        return super().send(request, *arguments, **options)


class Pacs:
    """One archive. Every method may raise a :class:`~radiology.errors.PacsError`."""

    def __init__(self, client: DICOMClient, by_dimse: PacsSettings | None = None) -> None:
        """``by_dimse``: where results are sent by C-STORE; None stores them through the client."""
        self._client = client
        self._by_dimse = by_dimse

    @classmethod
    def connect(cls, settings: PacsSettings) -> Pacs:
        """Return the archive that the settings name; nothing is asked of it yet."""
        session = requests.Session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Adapter())
        if settings.user:
            session.auth = (settings.user, settings.password.get_secret_value())
        client = DICOMwebClient(settings.dicomweb_url, session=session, timeout=settings.timeout_seconds)
        client.set_http_retry_params(retry=False)  # the job is tried again as a whole, with a reason that can be read
        return cls(client, settings if settings.store_by == "C-STORE" else None)

    def count(self, study_uid: str) -> int:
        """Return how many instances of a study the archive says it holds; 0 where it does not know the study."""
        with _translated(f"count study {study_uid}"):
            found = self._client.search_for_studies(search_filters={"StudyInstanceUID": study_uid})
            return sum(int(Dataset.from_json(study).get("NumberOfStudyRelatedInstances") or 0) for study in found)

    def listed(self, study_uid: str) -> set[str]:
        """Return the SOP Instance UIDs of all instances of a study that the archive holds, our own results included."""
        with _translated(f"list the instances of study {study_uid}"):
            found = self._client.search_for_instances(study_uid, get_remaining=True)
        return {str(Dataset.from_json(each).SOPInstanceUID) for each in found}

    def patient_id(self, study_uid: str) -> str:
        """Return the Patient ID that the archive has for a study now; empty where it has none."""
        with _translated(f"look for study {study_uid}"):
            found = self._client.search_for_studies(search_filters={"StudyInstanceUID": study_uid})
        return next((str(Dataset.from_json(study).get("PatientID") or "") for study in found), "")

    def institution(self, study_uid: str) -> str | None:
        """Return the Institution Name (0008,0080) of a study, empty where it says none; None where the archive does not know the study."""
        with _translated(f"look for study {study_uid}"):
            found = self._client.search_for_studies(search_filters={"StudyInstanceUID": study_uid}, fields=["InstitutionName"])
        studies = [Dataset.from_json(study) for study in found]
        return next((str(study.get("InstitutionName") or "") for study in studies if study.StudyInstanceUID == study_uid), None)

    def others(self, study_uid: str) -> list[Dataset]:
        """Return the QIDO-RS answers on the other studies of a study's patient, the newest first; none where it has no Patient ID."""
        fields = ["IssuerOfPatientID", "StudyDescription", "ModalitiesInStudy", "InstitutionName"]
        with _translated(f"look for other studies of the patient of study {study_uid}"):
            found = self._client.search_for_studies(search_filters={"StudyInstanceUID": study_uid}, fields=fields)
            patient = next((_patient(Dataset.from_json(study)) for study in found), ("", ""))
            if not patient[0]:
                return []
            # Orthanc decodes nothing in a query, and what is not ASCII may be several characters to it.
            pattern = "".join(each if re.match(r"[\w.~-]", each, re.ASCII) else "?" if each.isascii() else "*" for each in patient[0])
            found = self._client.search_for_studies(search_filters={"PatientID": pattern}, fields=fields, get_remaining=True)
        studies = [Dataset.from_json(study) for study in found]
        # A pattern fits other IDs too, and one ID of two issuers is two patients.
        same = [study for study in studies if study.StudyInstanceUID != study_uid and _patient(study) == patient]
        return sorted(same, key=lambda study: (str(study.get("StudyDate", "")), str(study.get("StudyTime", ""))), reverse=True)

    def fetch(self, study_uid: str) -> Study:
        """Return the headers of every series of a study but our own results.

        Raises:
            IncompleteStudy: the archive holds nothing of it but, at most, our own results.
        """
        headers = [
            header
            for series in self._series(study_uid)
            if not self._is_ours(study_uid, series)
            for header in self._headers(study_uid, str(series.SeriesInstanceUID))
        ]
        if not headers:
            raise IncompleteStudy(f"The archive holds no image of study {study_uid}; send it again.")
        return Study.from_instances(headers)

    def mark(self, study_uid: str) -> str:
        """Return what the archive's lists say of a study, its patient and its images: text that changes when any of them does.

        Our own results, and the counts of the study that change with them, are left out.
        """
        with _translated(f"look for study {study_uid}"):
            found = self._client.search_for_studies(search_filters={"StudyInstanceUID": study_uid})
        told = [{tag: value for tag, value in study.items() if tag not in _CHANGED_BY_RESULTS} for study in found]
        images = [series.to_json_dict() for series in self._series(study_uid) if not self._is_ours(study_uid, series)]
        return json.dumps([told, images], sort_keys=True)

    def instances(self, series: Series) -> list[Dataset]:
        """Return the instances of a series with their pixels, encoded as they were sent, in any order.

        Raises:
            PacsRefused: the archive gave fewer instances than ``series`` has.
        """
        study_uid = str(series.instances[0].StudyInstanceUID)
        wanted = set(series.instance_uids)
        instances = [each for each in self._instances(study_uid, series.series_uid) if text(each, "SOPInstanceUID") in wanted]
        if len(instances) < len(wanted):
            raise PacsRefused(
                f"The archive gave {len(instances)} of the {len(wanted)} instances that it listed of series {series.series_uid}; "
                "it is asked again."
            )
        return instances

    def results(self, study_uid: str) -> list[Dataset]:
        """Return our own results of a study, complete: documents, segmentations and rejection notes."""
        results = [
            instance
            for series in self._series(study_uid)
            if self._is_ours(study_uid, series)
            for instance in self._instances(study_uid, str(series.SeriesInstanceUID))
        ]
        for each in results:
            drop_illegible(each)
        return list(filter(is_ours, results))

    def stored(self, instances: Sequence[Dataset]) -> set[str]:
        """Return the SOP Instance UIDs of those instances that the archive holds, by query."""
        held = set()
        with _translated("look for stored instances"):
            for study_uid, series_uid in {(str(i.StudyInstanceUID), str(i.SeriesInstanceUID)) for i in instances}:
                for found in self._client.search_for_instances(study_uid, series_uid, get_remaining=True):
                    held.add(str(Dataset.from_json(found).SOPInstanceUID))
        return held & {str(instance.SOPInstanceUID) for instance in instances}

    def store(self, instances: Sequence[Dataset]) -> None:
        """Store instances and see, by query, that they are all there. What the archive holds already is not sent again.

        Raises:
            SopClassRefused: the archive does not take objects of the class of one or more of them, and took the others.
            PacsFull: the archive has no room, or says that it took one and does not list it.
            PacsRefused: the archive did not take one (STOW-RS answers 202 or lists it as failed). The others are stored;
                calling this again sends only the missing ones.
        """
        held = self.stored(instances)
        missing = [instance for instance in instances if str(instance.SOPInstanceUID) not in held]
        if missing:
            self.send(missing)

    def send(self, instances: Sequence[Dataset]) -> None:
        """Store instances as :meth:`store` does, those too that the archive lists already."""
        failed = association.store(instances, self._by_dimse) if self._by_dimse else self._stow(instances)
        which = ", ".join(f"{uid} (0x{reason:04X})" for uid, reason in failed.items())
        if failed and set(failed.values()) == {association.CLASS_NOT_SUPPORTED}:
            raise SopClassRefused(f"The archive does not take the SOP class of {which}; add it there, or set what it takes.")
        if failed and all(reason & 0xFF00 == _OUT_OF_RESOURCES for reason in failed.values()):
            raise PacsFull(f"The archive has no room for {which}; free its disk.")
        if failed:
            raise PacsRefused(f"The archive did not store {which}; look at its log.")
        missing = {str(instance.SOPInstanceUID) for instance in instances} - self.stored(instances)
        if missing:  # Orthanc says so by STOW-RS when its disk is full
            which = ", ".join(sorted(missing))
            raise PacsFull(f"The archive answered that it stored {which}, but does not list it; see that its disk has room.")

    def _stow(self, instances: Sequence[Dataset]) -> Mapping[str, int]:
        """Send instances by STOW-RS; return the Failure Reason of each that was not stored (PS3.18 10.5.3)."""
        for instance in instances:  # dicomweb-client writes none by itself, and the archive would keep a file that no reader opens
            instance.preamble = getattr(instance, "preamble", None) or bytes(128)
        with _translated(f"store {len(instances)} instances"):
            try:
                answer = self._client.store_instances(instances)
            except requests.HTTPError as error:
                if error.response is None or error.response.status_code != HTTPStatus.CONFLICT or not error.response.content:
                    raise
                answer = Dataset.from_json(error.response.json())  # none was stored, and the body may say why
                if "FailedSOPSequence" not in answer:
                    raise
        return {str(item.get("ReferencedSOPInstanceUID")): item.get("FailureReason", 0) for item in answer.get("FailedSOPSequence", ())}

    def _series(self, study_uid: str) -> list[Dataset]:
        """Return the QIDO-RS answers on the series of a study, with Manufacturer where the archive knows it of a series."""
        with _translated(f"list the series of study {study_uid}"):
            found = self._client.search_for_series(study_uid, fields=["Manufacturer"], get_remaining=True)
        listed = sorted((Dataset.from_json(series) for series in found), key=lambda series: str(series.SeriesInstanceUID))
        if not all(is_uid(str(series.SeriesInstanceUID)) for series in listed):
            raise StudyError(f"Study {study_uid} has a series whose UID is none, so it cannot be fetched; correct it and send it again.")
        return listed

    def _is_ours(self, study_uid: str, series: Dataset) -> bool:
        """Whether a series holds our own results. Where the list of series does not say it, its headers do, which takes longer."""
        if "Manufacturer" in series or str(series.get("Modality", "")) not in MODALITIES:
            return is_ours(series)
        return any(is_ours(header) for header in self._headers(study_uid, str(series.SeriesInstanceUID)))

    def _headers(self, study_uid: str, series_uid: str) -> list[Dataset]:
        with _translated(f"fetch the headers of series {series_uid}"), _readable(series_uid):
            return [_header(each) for each in self._client.retrieve_series_metadata(study_uid, series_uid)]

    def _instances(self, study_uid: str, series_uid: str) -> list[Dataset]:
        with _translated(f"fetch series {series_uid}"), _readable(series_uid):
            return list(self._client.retrieve_series(study_uid, series_uid, media_types=_ANY_TRANSFER_SYNTAX))


def decode_separators(query: str) -> str:
    """Undo the percent-encoding of ``,`` ``^`` ``*`` and ``?`` in a query: Orthanc's DICOMweb plug-in compares them as they are."""
    for code, character in (("%2C", ","), ("%5E", "^"), ("%2A", "*"), ("%3F", "?")):
        query = query.replace(code, character).replace(code.lower(), character)
    return query


def _patient(study: Dataset) -> tuple[str, str]:
    """Return Patient ID and its issuer; empty where they are missing."""
    return str(study.get("PatientID") or ""), str(study.get("IssuerOfPatientID") or "")


def _header(metadata: dict[str, dict[str, Any]]) -> Dataset:
    """Decode DICOM JSON (PS3.18 F); elements that were left out for their size stay out."""
    present = {tag: element for tag, element in metadata.items() if "BulkDataURI" not in element}
    return Dataset.from_json(present, bulk_data_uri_handler=lambda uri: None)


@contextmanager
def _readable(series_uid: str) -> Iterator[None]:
    """Turn what pydicom raises for a file that begins as one and does not go on so, and for such a header, into ``StudyError``."""
    try:
        yield
    except (requests.RequestException, InvalidDicomError, MemoryError):
        raise
    except Exception as error:  # pydicom's reader raises many unrelated types for bytes that do not fit together
        kind = type(error).__name__  # its message may quote the patient's data
        raise StudyError(f"Series {series_uid} has an instance that cannot be read ({kind}); correct it and send it again.") from error


@contextmanager
def _translated(action: str) -> Iterator[None]:
    """Turn the failures of HTTP and of decoding into ours; ``action`` says what was tried."""
    try:
        yield
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in _UNREACHABLE:
            raise PacsUnreachable(f"Could not {action}: the archive is not ready (HTTP {status}); it is tried again.") from error
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise PacsRefused(f"Could not {action}: HTTP {status} means a wrong user or password; correct SIGHTLINE_PACS__USER.") from error
        raise PacsRefused(f"Could not {action}: the archive refused (HTTP {status}); look at its log.") from error
    except (requests.JSONDecodeError, InvalidDicomError) as error:
        raise PacsRefused(f"Could not {action}: the archive's answer is not DICOM; correct SIGHTLINE_PACS__DICOMWEB_URL.") from error
    except requests.RequestException as error:
        raise PacsUnreachable(f"Could not {action}: the archive does not answer; see that it runs.") from error
