"""What a header claims, as numbers to work with.

Headers are written by anybody: what is there and is not what it should be is refused before anything is made of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.multival import MultiValue

from radiology.errors import UnsupportedImage

_LARGEST = 1e9
"""No length in millimetres, no scale and no count is larger."""


def drop_illegible(instance: Dataset) -> None:
    """Take out of an instance, at every depth, what cannot be understood; whoever needs it finds it missing.

    That is a value that cannot be decoded, and a sequence where the dictionary has none or the other way round (PS3.6): pydicom decodes
    an element when it is first asked for, and raises there.
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


@contextmanager
def _refused(header: Dataset, keyword: str, wanted: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, OverflowError, NotImplementedError) as error:
        # The value is not quoted: whoever wrote it may have put anything there.
        uid = header.get("SOPInstanceUID", "")
        raise UnsupportedImage(f"{keyword} of instance {uid} is not {wanted}; correct it and send the instance again.") from error
