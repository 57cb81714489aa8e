"""An image as the archive gives it: a file becomes a series, its places and its pixels, or a sentence that says why not."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file

from connector.pacs import Pacs
from connector.routing import route
from radiology import image
from radiology.claims import drop_illegible
from radiology.errors import PacsError, StudyError
from radiology.settings import WatcherSettings
from radiology.study import Study
from tests.connector.samples import ct_series, radiograph
from tests.dicom_sr.sources import ct_series as whole_ct_series
from tests.dicom_sr.sources import enhanced
from tests.fuzz.dicom import encoded, mutate

__all__ = ["mutate", "play", "seeds"]

_FILES = ("MR_small_RLE.dcm", "JPEG2000-embedded-sequence-delimiter.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm", "693_J2KR.dcm")
_LARGEST_SEED = 20_000


def seeds() -> Mapping[str, bytes]:
    """A slice, a film, several frames in one, and other encodings."""
    files = {name: open(str(get_testdata_file(name)), "rb").read() for name in _FILES}  # noqa: SIM115
    made: dict[str, Dataset] = {
        "ct": ct_series("1.2.3", 1)[0],
        "film": radiograph("1.2.3"),
        "frames": enhanced(whole_ct_series(2, 8, 8), [1, 0])[0],
    }
    return {name: encoded(instance) for name, instance in made.items()} | {
        name: content for name, content in files.items() if len(content) < _LARGEST_SEED
    }


class _Archive:
    """An archive that has one file, decoded as dicomweb-client decodes it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def retrieve_series(self, *_: Any, **__: Any) -> list[Dataset]:
        return [dcmread(BytesIO(self._content))]


def play(data: bytes) -> None:
    """Fetch it, choose what is read of it by its header, as legible as archives write headers, and decode its pixels."""
    pacs = Pacs(_Archive(data))  # type: ignore[arg-type]
    try:
        (header,) = pacs._instances("", "")
        drop_illegible(header)
        whole = Study.from_instances([header])
        study = route(whole, WatcherSettings()).study or whole
        for series in study.series:
            image.load(series, pacs.instances(series))
        for series in study.series:
            image.outline(series)
    except (PacsError, StudyError):
        pass
