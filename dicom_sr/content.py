"""Reading a content tree (PS3.3 C.17.3): items by concept name, and what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.valuerep import DT

from dicom_sr.codes import means
from radiology.judgement import Observer
from radiology.study import Series


def children(item: Dataset, name: Code) -> list[Dataset]:
    """Content items directly below ``item`` with this concept name."""
    return [
        found for found in item.get("ContentSequence", []) if any(means(code, name) for code in found.get("ConceptNameCodeSequence", []))
    ]


def child(item: Dataset, name: Code) -> Dataset:
    """The first of them; ``KeyError`` where there is none."""
    for found in children(item, name):
        return found
    raise KeyError(f"no content item '{name.meaning}'")


def contained(document: Dataset, name: Code) -> Iterator[Dataset]:
    """Items inside the containers of this name."""
    for container in children(document, name):
        yield from container.get("ContentSequence", [])


def texts(item: Dataset, name: Code) -> tuple[str, ...]:
    """The texts of the items with this name."""
    return tuple(str(found.TextValue) for found in children(item, name))


def number(item: Dataset, name: Code) -> float:
    """The value of the NUM with this name."""
    return value(child(item, name))


def value(item: Dataset) -> float:
    """The value of a NUM."""
    return float(item.MeasuredValueSequence[0].FloatingPointValue)


def image_uid(item: Dataset) -> str:
    """The SOP Instance UID that an item refers to."""
    return str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)


def slice_of(item: Dataset, series: Series) -> int:
    """The slice of the series that an item refers to."""
    reference = item.ReferencedSOPSequence[0]
    frame = reference.get("ReferencedFrameNumber")
    return series.slice_of(str(reference.ReferencedSOPInstanceUID), None if frame is None else int(frame))


def moment(text: object) -> datetime:
    """A DateTime (PS3.5 6.2, VR DT) with its time zone; ``ValueError`` where it has none, as ours all have one."""
    parsed = DT(text)  # type: ignore[arg-type]
    if parsed.tzinfo is None:
        raise ValueError("no time zone")
    return datetime.combine(parsed.date(), parsed.timetz())


def observer(item: Dataset) -> Observer:
    """The person in the observation context of an item (TID 1003)."""
    return Observer(
        name=str(child(item, codes.DCM.PersonObserverName).PersonName),
        organization=next(iter(texts(item, codes.DCM.PersonObserverOrganizationName)), ""),
        login=next(iter(texts(item, codes.DCM.PersonObserverLoginName)), ""),
    )
