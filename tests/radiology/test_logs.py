"""Logs say what happened, where, and to which study, and repeat no value of an image, whoever stumbles over it."""

import json
import subprocess
import sys
from typing import Any

import pytest

PROGRAM = """
import logging, threading, structlog
from pydicom import Dataset
from radiology.errors import StudyError
from radiology.logs import configure_logs
from radiology.settings import LogSettings

def stumble():
    float("C4N4RY")

configure_logs(LogSettings(level="DEBUG"), "tests")
structlog.get_logger().info("read", study_uid="1.2.3")
image = Dataset.from_json({"00100030": {"vr": "DA", "Value": ["C4N4RY"]}})
image.PatientAge = "C4N4RY"
print(image)
try:
    stumble()
except ValueError as error:
    logging.getLogger("uvicorn.error").exception("a library")
    structlog.get_logger().exception("we")
    try:
        raise StudyError("Send it again.") from error
    except StudyError:
        structlog.get_logger().exception("our own words")
thread = threading.Thread(target=stumble)
thread.start()
thread.join()
stumble()
"""


@pytest.fixture(scope="module")
def logged() -> list[dict[str, Any]]:
    """The lines of a program that reads a value that is none, stumbles over it in many ways, and ends by it."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert "C4N4RY" in ended.stdout, "it was read"
    assert "C4N4RY" not in ended.stderr
    return [json.loads(line) for line in ended.stderr.splitlines()]


def test_every_line_names_what_happened_and_the_service(logged: list[dict[str, Any]]) -> None:
    assert [line["event"] for line in logged[:4]] == ["read", "a library", "we", "our own words"]
    assert logged[0]["study_uid"] == "1.2.3"
    assert {line["service"] for line in logged[:4]} == {"tests"}


def test_an_exception_says_its_kind_and_where_it_came_from_and_not_what_it_quotes(logged: list[dict[str, Any]]) -> None:
    library, we, _, thread, process = (line.get("exception", "") for line in logged[1:])
    for exception in (library, we, thread, process):
        assert exception.endswith("ValueError")
        assert "in stumble" in exception


def test_our_own_words_are_told_with_what_they_came_of(logged: list[dict[str, Any]]) -> None:
    assert "StudyError: Send it again.\nwhich came of\n" in logged[3]["exception"]
