"""What a header claims, as numbers to work with.

Headers are written by anybody: what is there and is not what it should be is refused before anything is made of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from radiology.errors import UnsupportedImage

_LARGEST = 1e9
"""No length in millimetres, no scale and no count is larger."""


def drop_illegible(instance: Dataset) -> None:
    """Take out of a document or a header, at every depth, what cannot be understood; whoever needs it finds it missing.

    That is a value that cannot be decoded, and a sequence where the dictionary has none or the other way round (PS3.6): pydicom decodes
    an element when it is first asked for, and raises there. Nothing for an image that is decoded: a slope that cannot be understood is
    a reason to refuse it, and one that is missing is none.
    """
    for tag in list(instance.keys()):
        try:
            element = instance[tag]
            is_sequence = element.VR == "SQ"
            if dictionary_has_tag(tag) and is_sequence != (dictionary_VR(tag) == "SQ"):
                raise ValueError
            for item in element.value or () if is_sequence else ():
                drop_illegible(item)
        except Exception:  # noqa: BLE001 - decoders of values raise many unrelated types
            del instance[tag]


def numbers(header: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """Return so many numbers; None where the header has none.

    Raises:
        UnsupportedImage: it has something else under that keyword.
    """
    with _refused(header, keyword, f"{count} numbers" if count > 1 else "a number"):
        value = header.get(keyword)
        values = list(value) if isinstance(value, MultiValue | list) else [value]
        if values in ([], [None], [""]):
            return None
        found = tuple(map(float, values))
        if len(found) != count or not all(abs(each) <= _LARGEST for each in found):
            raise ValueError
        return found


def whole_number(header: Dataset, keyword: str, default: int) -> int:
    """Return a number that counts something; ``default`` where the header has none.

    Raises:
        UnsupportedImage: it has something else under that keyword.
    """
    found = numbers(header, keyword, 1)
    with _refused(header, keyword, "a number"):
        if found is not None and not (found[0].is_integer() and found[0] >= 0):
            raise ValueError
    return default if found is None else int(found[0])


def text(header: Dataset, keyword: str) -> str:
    """Return a value as text; empty where the header has none.

    Raises:
        UnsupportedImage: it cannot be decoded.
    """
    with _refused(header, keyword, "a text"):
        return str(header.get(keyword) or "")


def items(header: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence; none where the header does not have it.

    Raises:
        UnsupportedImage: it has something else under that keyword.
    """
    with _refused(header, keyword, "a sequence"):
        value = header.get(keyword)
        if value is not None and not isinstance(value, Sequence):
            raise TypeError
        return list(value or ())


@contextmanager
def _refused(header: Dataset, keyword: str, wanted: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # pydicom's decoders of values raise many unrelated types
        # The value is not quoted: whoever wrote it may have put anything there.
        uid = "" if keyword == "SOPInstanceUID" else header.get("SOPInstanceUID", "")
        raise UnsupportedImage(f"{keyword} of instance {uid} is not {wanted}; correct it and send the instance again.") from error
