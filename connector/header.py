"""Reads who an encoded data set is, and whether it is whole, without making anything of it.

A walk over tags and lengths (PS3.5 7): no values are decoded, no objects made of sequences and items, nothing is called from within
itself. So a data set of a thousand sequences in each other, or of millions of items without content, costs no memory and little
time. What cannot be walked to its end is refused.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from struct import Struct
from typing import Literal

from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

_WANTED = 0x00080016, 0x00080018, 0x0020000D  # SOP class, SOP instance, study
_PIXELS = 0x7FE00010
_ITEM, _END_OF_ITEM, _END_OF_SEQUENCE = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_BINARY_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW"})
_LONG_VRS = _BINARY_VRS | {b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}

_INFLATED = 1 << 20
_DEEPEST = 64
_MOST_ELEMENTS = 2_000_000

_CUT_SHORT = "It is cut short."

_Inside = Literal["sequence", "item", "fragments"]


class HeaderError(ValueError):
    """The data set is not one, or not whole; says why, and nothing of its content."""


class _CutShort(HeaderError):
    """It ends before its last element does."""


@dataclass(frozen=True)
class Header:
    """Who a data set says it is; empty where it does not say. Nothing of it was checked to be a UID."""

    sop_class_uid: str
    instance_uid: str
    study_uid: str


def read_header(content: bytes, transfer_syntax: UID) -> Header:
    """Walk an encoded data set, as C-STORE brings it.

    Of a deflated one only the first MiB is inflated, as a small file may hold any amount of zeros; its end is not seen.

    Raises:
        HeaderError: it cannot be walked to its end.
    """
    is_deflated = transfer_syntax == DeflatedExplicitVRLittleEndian
    if is_deflated:
        try:
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, _INFLATED)
        except zlib.error as error:
            raise HeaderError("It cannot be inflated.") from error
    walk = _Walk(content, ">" if transfer_syntax == ExplicitVRBigEndian else "<")
    try:
        walk.to_the_end()
    except _CutShort:
        if not is_deflated:
            raise
    return Header(*(walk.found.get(tag, b"").rstrip(b"\0 ").decode("ascii", "replace") for tag in _WANTED))


class _Walk:
    """Where in a data set we are. What tells its length is stepped over; what ends by a delimiter is entered."""

    def __init__(self, content: bytes, order: str) -> None:
        self.found: dict[int, bytes] = {}
        self._content = content
        self._at = 0
        # Every element, item and delimiter begins with eight bytes: a tag, then a VR and a length, or a longer length.
        self._start, self._long = Struct(order + "HH2sH"), Struct(order + "L")
        # Whether elements lack a VR. Some senders mistake one syntax for the other; the first element shows what it is.
        self._is_implicit = not (content[4:6].isalpha() and content[4:6].isupper())
        # What we are inside of, outermost first, and whether elements lacked a VR before it.
        self._inside: list[tuple[_Inside, bool]] = []

    def to_the_end(self) -> None:
        for _ in range(_MOST_ELEMENTS):
            if len(self._content) - self._at < self._start.size:
                if self._inside or self._content[self._at :].strip(b"\0"):
                    raise _CutShort(_CUT_SHORT)
                return
            group, element, vr, length = self._start.unpack_from(self._content, self._at)
            self._at += self._start.size
            tag = group << 16 | element
            if self._inside and self._inside[-1][0] != "item":
                self._item(tag, self._inside[-1][0])
            elif group == 0xFFFE:
                self._end_of_item(tag)
            else:
                self._element(tag, vr, length)
        raise HeaderError(f"It has more than {_MOST_ELEMENTS} elements.")

    def _skip(self, size: int) -> None:
        self._at += size
        if self._at > len(self._content):
            raise _CutShort(_CUT_SHORT)

    def _last_four(self) -> int:
        """The length that was just read."""
        (length,) = self._long.unpack_from(self._content, self._at - 4)
        return int(length)

    def _enter(self, what: _Inside, is_implicit: bool) -> None:
        if len(self._inside) == _DEEPEST:
            raise HeaderError(f"Its sequences are more than {_DEEPEST // 2} deep.")
        self._inside.append((what, self._is_implicit))
        self._is_implicit = is_implicit

    def _leave(self) -> None:
        self._is_implicit = self._inside.pop()[1]

    def _item(self, tag: int, what: _Inside) -> None:
        length = self._last_four()
        if tag == _END_OF_SEQUENCE:
            self._leave()
        elif tag != _ITEM or (length == _UNDEFINED and what == "fragments"):
            raise HeaderError("A sequence holds something other than items.")
        elif length == _UNDEFINED:
            self._enter("item", self._is_implicit)
        else:
            self._skip(length)

    def _end_of_item(self, tag: int) -> None:
        if tag != _END_OF_ITEM or not self._inside:
            raise HeaderError("An item or its end stands where none can.")
        self._leave()

    def _element(self, tag: int, vr: bytes, length: int) -> None:
        if self._is_implicit:
            vr, length = b"", self._last_four()
        elif vr in _LONG_VRS:
            self._skip(4)
            length = self._last_four()
        if length == _UNDEFINED:
            # An unknown one of undefined length is a sequence without VRs (PS3.5 6.2.2, note 3).
            self._enter("fragments" if vr in _BINARY_VRS or tag == _PIXELS else "sequence", self._is_implicit or vr == b"UN")
            return
        start = self._at
        self._skip(length)
        if tag in _WANTED and not self._inside:
            if tag in self.found:
                raise HeaderError("It says twice who it is.")
            self.found[tag] = self._content[start : self._at]
