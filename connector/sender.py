"""Sends a folder of DICOM files by C-STORE, each in the transfer syntax that it is stored in, as a modality would."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, MediaStorageDirectoryStorage
from pynetdicom import AE, _config

from connector.association import CONTEXTS, SUCCESS_OR_WARNING, accepted, associate
from radiology.errors import PacsUnreachable
from radiology.settings import ListenerSettings

_CALLING_AE_TITLE = "SIGHTLINE_SEND"


@dataclass(frozen=True)
class NotSent:
    """Why a file was not sent. ``is_failure`` is false for what no archive would take, such as a text file or a DICOMDIR."""

    reason: str
    is_failure: bool


def send_folder(folder: Path, listener: ListenerSettings) -> Iterator[tuple[Path, NotSent | None]]:
    """Send every DICOM file below ``folder`` to the listener; yield each file when its outcome is known, None where it was stored.

    Raises:
        FileNotFoundError: there is no such folder.
        PacsUnreachable: the listener does not answer, or ended the association; some files may have been sent.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}.")
    kinds: dict[tuple[UID, UID], list[Path]] = defaultdict(list)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        kind = _kind(path)
        if isinstance(kind, NotSent):
            yield path, kind
        else:
            kinds[kind].append(path)
    waiting = iter(sorted(kinds.items()))
    while batch := list(islice(waiting, CONTEXTS)):
        yield from _send(batch, listener)


def _kind(path: Path) -> tuple[UID, UID] | NotSent:
    """SOP class and transfer syntax of a file."""
    try:
        meta = dcmread(path, specific_tags=[], stop_before_pixels=True).file_meta
        kind = meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID
        complete = "MediaStorageSOPInstanceUID" in meta
    except InvalidDicomError:
        return NotSent("not a DICOM file, skipped.", is_failure=False)
    except (AttributeError, EOFError, KeyError, OSError, ValueError) as error:
        return NotSent(f"a damaged DICOM file, not sent ({error}).", is_failure=True)
    if kind[0] == MediaStorageDirectoryStorage:
        return NotSent("a DICOMDIR, skipped.", is_failure=False)
    return kind if complete else NotSent("a DICOM file without SOP Instance UID, not sent.", is_failure=True)


def _send(batch: list[tuple[tuple[UID, UID], list[Path]]], listener: ListenerSettings) -> Iterator[tuple[Path, NotSent | None]]:
    _config.STORE_SEND_CHUNKED_DATASET = True  # bytes as they are in the file, which is never decoded
    try:
        association = associate(AE(_CALLING_AE_TITLE), listener, [kind for kind, _ in batch])
    except PacsUnreachable as error:
        raise PacsUnreachable(
            f"{error} It is started with `sightline listen`; SIGHTLINE_LISTENER__CALLERS must admit {_CALLING_AE_TITLE}."
        ) from error
    try:
        taken = accepted(association)
        for kind, paths in batch:
            for path in paths:
                if kind not in taken:
                    yield path, NotSent(f"not sent: the listener takes no {kind[0].name} in {kind[1].name}.", is_failure=True)
                    continue
                try:
                    status = association.send_c_store(path).get("Status")
                except (AttributeError, EOFError, KeyError, ValueError) as error:
                    yield path, NotSent(f"a damaged DICOM file, not sent ({error}).", is_failure=True)
                    continue
                except RuntimeError as error:
                    raise PacsUnreachable("The listener ended the association; look at its log.") from error
                if status is None:
                    raise PacsUnreachable("The listener gave no answer; look at its log.")
                refused = NotSent(f"refused by the listener with status 0x{status:04X}.", is_failure=True)
                yield path, None if status in SUCCESS_OR_WARNING else refused
    finally:
        association.release()
