"""Fixtures that more than one room uses."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Two processes share the suite: a file's tests stay in one, as its fixtures do, and so do all that need a browser."""
    for item in items:
        file = item.path.relative_to(Path(__file__).parent)
        item.add_marker(pytest.mark.xdist_group("browser" if file.parts[0] == "e2e" else str(file)))
