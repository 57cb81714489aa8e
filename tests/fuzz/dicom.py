"""DICOM files as bytes, and changes that leave them readable: one element at a time, wherever in the tree it is."""

import random
from collections.abc import Iterator
from io import BytesIO

from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag

_OTHER_VRS = ("UI", "DS", "IS", "US", "SQ", "UN", "OB", "FD", "PN", "AT", "DT", "ZZ")


def encoded(instance: Dataset) -> bytes:
    """Return the file of an instance."""
    stream = BytesIO()
    dcmwrite(stream, instance, enforce_file_format=True)
    return stream.getvalue()


def mutate(data: bytes, size: int, seed: int) -> bytes:
    """Change one element of a file, or its bytes where it is none or chance says so (atheris' ``custom_mutator``)."""
    import atheris  # not there where only the kept inputs are played

    chance = random.Random(seed)
    if chance.random() < 0.7:
        try:
            instance = dcmread(BytesIO(data))
            _change(chance.choice(list(_trees(instance))), chance, atheris.Mutate)
            stream = BytesIO()
            dcmwrite(stream, instance)
            if len(stream.getvalue()) <= size:
                return stream.getvalue()
        except Exception:  # noqa: BLE001 - what cannot be read or written any more is changed as bytes
            pass
    changed: bytes = atheris.Mutate(data, size)
    return changed


def _trees(instance: Dataset) -> Iterator[Dataset]:
    yield instance
    for element in instance:
        if element.VR == "SQ":
            for item in element.value:
                yield from _trees(item)


def _change(tree: Dataset, chance: random.Random, bytes_changed: object) -> None:
    tag = chance.choice(list(tree.keys()))
    what = chance.random()
    if what < 0.1:
        del tree[tag]
        return
    element = tree[tag]
    if element.VR == "SQ" and what < 0.7:
        items = list(element.value)
        chance.shuffle(items)
        element.value = items[: chance.randrange(len(items) + 1)] + items[: chance.randrange(2)]
        return
    stream = BytesIO()
    alone = Dataset()
    alone[tag] = element
    dcmwrite(stream, alone, implicit_vr=True, little_endian=True)
    value = stream.getvalue()[8:]
    if what < 0.9:
        value = bytes_changed(value, max(64, 2 * len(value)))  # type: ignore[operator]
    vr = chance.choice(_OTHER_VRS) if what > 0.8 else element.VR
    tree._dict[BaseTag(tag)] = RawDataElement(BaseTag(tag), vr, len(value), value, 0, False, True)
