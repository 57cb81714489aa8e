"""The conformance statement says what the code does."""

from __future__ import annotations

import pytest

from deploy.conformance import PAGE, TABLES, refreshed, with_table
from radiology.terms import TERMS


def test_the_tables_of_the_page_are_those_of_the_code() -> None:
    page = PAGE.read_text()
    assert refreshed(page) == page, "run: python -m deploy.conformance"


def test_every_term_is_published_with_its_code() -> None:
    assert all(f"| {term.name} | {term.kind} | ({term.code.value}, {term.code.scheme}" in PAGE.read_text() for term in TERMS.values())


@pytest.mark.parametrize("name", TABLES)
def test_a_page_that_says_something_else_is_found_out(name: str) -> None:
    page = PAGE.read_text()
    changed = with_table(page, name, "| something | else |")
    assert changed != page
    assert refreshed(changed) == page


def test_a_table_without_its_place_is_missed() -> None:
    with pytest.raises(ValueError, match="no place for the table 'objects'"):
        with_table("A page.", "objects", "")
