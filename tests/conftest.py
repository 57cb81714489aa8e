"""Fixtures that more than one room uses."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.orthanc import Orthanc


@pytest.fixture(scope="session")
def start_orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Orthanc]]:
    """A function that starts one more empty Orthanc; all are stopped when the session ends."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(Orthanc(tmp_path_factory.mktemp("orthanc")))


@pytest.fixture(scope="session")
def _shared_orthanc(start_orthanc: Callable[[], Orthanc]) -> Orthanc:
    return start_orthanc()


@pytest.fixture
def orthanc(_shared_orthanc: Orthanc) -> Orthanc:
    """The session's Orthanc, emptied before the test; its log of changes goes on."""
    _shared_orthanc.empty()
    return _shared_orthanc
