"""Who a data set is, as the listener reads it before it keeps the bytes: the first byte says in which transfer syntax it comes."""

import tracemalloc
from collections.abc import Mapping

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from connector.header import HeaderError, read_header
from tests.connector.samples import radiograph
from tests.connector.test_hostile import HOSTILE

_SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
_MOST_BYTES = 4 << 20
"""Room that may be taken beside the input: a MiB is inflated, and lists are made of what is found."""


def seeds() -> Mapping[str, bytes]:
    """The hostile data sets that the listener's tests send."""
    made = {name: (syntax, make(radiograph("1.2.3"))) for name, (syntax, make, _) in HOSTILE.items()}
    return {
        name.replace(" ", "-"): bytes([_SYNTAXES.index(syntax)]) + content[: 1 << 15]
        for name, (syntax, content) in made.items()
        if syntax in _SYNTAXES
    }


def play(data: bytes) -> None:
    """Walk it to its end."""
    tracemalloc.start()
    try:
        read_header(data[1:], _SYNTAXES[data[0] % len(_SYNTAXES)] if data else ImplicitVRLittleEndian)
    except HeaderError:
        pass
    finally:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < _MOST_BYTES, f"{most} bytes were taken"
