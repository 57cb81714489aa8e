"""The gate: every kind of object, on every kind of source, before every judge. None has anything to say against any."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deploy.conformance import PAGE
from dicom_sr.kinds import KINDS
from tests.dicom_sr.cases import SITUATIONS, STUDIES, Case, make, pairs
from tests.dicom_sr.gate import QUICK, for_pixelmed, table
from tests.dicom_sr.judges import JUDGES, SHEARED, Complaints, pixelmed
from tests.dicom_sr.outside import complaints


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    folder = tmp_path_factory.mktemp("cases")
    return [make(source, situation, number, folder / str(number)) for number, (source, situation) in enumerate(pairs())]


@pytest.fixture(scope="session")
def judged(cases: list[Case]) -> Callable[[str], Complaints]:
    """A function that asks a judge about all cases, once."""
    known: dict[str, Complaints] = {}

    def ask(judge: str) -> Complaints:
        if judge not in known:
            known[judge] = JUDGES[judge](cases)
        return known[judge]

    return ask


WRONG_ON_PURPOSE = {"CT, without frame of reference or thickness"}
"""Modalities do send such."""


def test_the_images_are_valid_themselves(cases: list[Case]) -> None:
    images = {path: case.source for case in cases if case.situation == "findings" for path in case.images}
    found = {(source, path.name): complaints(path) for path, source in images.items() if source not in WRONG_ON_PURPOSE}
    assert {where: wrong for where, wrong in found.items() if wrong} == {}


def test_the_cases_are_of_every_source_situation_and_kind(cases: list[Case]) -> None:
    assert {case.source for case in cases} == set(STUDIES)
    assert {case.situation for case in cases} == set(SITUATIONS)
    assert all(any(case.of_kind(kind.name) for case in cases) for kind in KINDS)


@pytest.mark.parametrize("source", STUDIES)
@pytest.mark.parametrize("judge", QUICK)
def test_no_judge_has_anything_against_any_object(judge: str, source: str, cases: list[Case], judged: Callable[[str], Complaints]) -> None:
    verdicts = {
        (case.situation, path.name): wrong
        for case in cases
        if case.source == source
        for path, wrong in judged(judge).items()
        if path in case.files
    }
    assert verdicts or (judge, source) == ("segimage2itkimage", SHEARED), "nothing was judged"
    assert {where: wrong for where, wrong in verdicts.items() if wrong} == {}


def test_the_page_tells_what_the_judges_say(cases: list[Case], judged: Callable[[str], Complaints]) -> None:
    said = table(cases, {judge: judged(judge) for judge in QUICK})
    assert said in PAGE.read_text(), "run: python -m tests.dicom_sr.gate"


def test_the_templates_of_the_documents_are_right(cases: list[Case]) -> None:
    verdicts = pixelmed([case for case in cases if case.source == "CT" and case.situation in ("findings", "not read")])
    assert {path: wrong for path, wrong in verdicts.items() if wrong} == {}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_templates_of_all_documents_are_right_and_the_page_tells_so(cases: list[Case]) -> None:
    verdicts = pixelmed(for_pixelmed(cases))
    assert {path: wrong for path, wrong in verdicts.items() if wrong} == {}
    assert table(cases, {"PixelMed": verdicts}) in PAGE.read_text(), "run: python -m tests.dicom_sr.gate"
