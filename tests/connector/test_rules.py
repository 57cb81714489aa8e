"""The first rule that fits a series decides; a file with a fault is refused with the line and the reason."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from connector.rules import Facts, Rules, RulesInForce, facts_of, load, read
from radiology.errors import RulesError
from radiology.jobs import Priority
from radiology.settings import Settings, WatcherSettings
from radiology.study import Study
from tests.connector.samples import ct_series, radiograph

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
NIGHT = datetime(2026, 1, 5, 23, 30, tzinfo=UTC)
RULES = """
timezone: UTC
rules:
  - name: emergency room first
    source: [ER_CR1, "ICU*"]
    modality: [CR, DX]
    priority: urgent
  - name: the night is for films
    hours: 18:00-07:00
    modality: CT
    read: no
    why: Read by day.
  - name: stroke CT first
    modality: CT
    description: "*stroke*"
    priority: urgent
  - name: screening last
    station: BUS?
    priority: low
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write_to(text: str) -> Path:
        path = tmp_path / "rules.yaml"
        path.write_text(text)
        return path

    return write_to


@pytest.fixture
def rules(write: Callable[[str], Path]) -> Rules:
    return read(write(RULES))


def facts(source: str = "CR1", modality: str = "CR", station: str = "", description: str = "", arrived: datetime = NOON) -> Facts:
    return Facts(frozenset([source]), modality, station, "CHEST", ("", description), arrived)


@pytest.mark.parametrize(
    ("series", "rule", "is_read", "priority"),
    [
        (facts("ER_CR1"), "emergency room first", True, Priority.URGENT),
        (facts("icu_7"), "emergency room first", True, Priority.URGENT),
        (facts("ER_CR1", modality="CT"), "", True, Priority.ROUTINE),
        (facts(modality="CT", arrived=NIGHT), "the night is for films", False, Priority.ROUTINE),
        (facts(modality="CT", description="Acute Stroke", arrived=NIGHT), "the night is for films", False, Priority.ROUTINE),
        (facts(modality="CT", description="Acute Stroke"), "stroke CT first", True, Priority.URGENT),
        (facts(station="BUS4"), "screening last", True, Priority.LOW),
        (facts(station="BUS42"), "", True, Priority.ROUTINE),
    ],
    ids=["AE title", "AE title by pattern", "other modality", "hour", "the first wins", "description", "station", "one character only"],
)
def test_the_first_rule_that_fits_decides(rules: Rules, series: Facts, rule: str, is_read: bool, priority: Priority) -> None:
    ruling = rules.judge(series)
    assert (ruling.rule, ruling.read, ruling.priority) == (rule, is_read, priority)
    assert "Stroke" not in repr(ruling)


def test_it_is_said_why_and_why_not(rules: Rules) -> None:
    ruling = rules.judge(facts(modality="CT", arrived=NIGHT))
    assert ruling.why == 'Rule "the night is for films": Read by day.'
    assert ruling.passed_over == (("emergency room first", "source CR1 is none of ER_CR1, ICU*"),)
    by_day = dict(rules.judge(facts(modality="CT")).passed_over)
    assert by_day["the night is for films"] == "it came at 12:00, not within 18:00-07:00"
    assert by_day["screening last"] == "station missing is none of BUS?"


def test_hours_are_those_of_the_files_time_zone(write: Callable[[str], Path]) -> None:
    rules = read(write(RULES.replace("timezone: UTC", "timezone: Asia/Tokyo")))
    assert not rules.judge(facts(modality="CT", arrived=NOON)).read  # 21:00 there


@pytest.mark.parametrize(("timezone", "is_urgent"), [("UTC", False), ("Asia/Tokyo", True)], ids=["Monday there", "Tuesday there"])
def test_days_are_those_of_the_files_time_zone(write: Callable[[str], Path], timezone: str, is_urgent: bool) -> None:
    rules = read(write(f"timezone: {timezone}\nrules:\n  - name: clinic\n    days: [tue, sat]\n    priority: urgent\n"))
    ruling = rules.judge(facts(arrived=NIGHT))
    assert (ruling.priority is Priority.URGENT) == is_urgent
    assert is_urgent or ruling.passed_over == (("clinic", "it came on a Monday, not on tue, sat"),)


def test_a_study_is_read_where_any_of_its_series_is_and_its_most_urgent_series_counts(rules: Rules) -> None:
    study_uid = generate_uid()
    film = radiograph(study_uid)
    mixed = Study.from_instances([film, *ct_series(study_uid, 2)])
    night = rules.judge_study(mixed, ["ER_CR1"], NIGHT)
    assert (night.rule, night.read, night.priority) == ("emergency room first", True, Priority.URGENT)
    assert not rules.judge_study(Study.from_instances(ct_series(study_uid, 2)), ["ER_CR1"], NIGHT).read


def test_what_rules_ask_is_taken_from_the_headers() -> None:
    film = radiograph(generate_uid())
    film.StationName, film.StudyDescription, film.SeriesDescription = "BUS1", "Thorax", "PA"
    (one,) = facts_of(Study.from_instances([film]), ["CR1"], NOON)
    assert one == Facts(frozenset(["CR1"]), "CR", "BUS1", "CHEST", ("Thorax", "PA"), NOON)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules:\n  - name: a\n    modalty: CT\n", "line 3: rule 1, modalty: Extra inputs are not permitted"),
        (
            "rules:\n  - name: a\n  - name: b\n    priority: soon\n",
            "line 4: rule 2, priority: Input should be 'urgent'",
        ),
        ("rules:\n  - name: a\n    hours: 7-18\n", "line 3: rule 1, hours: give a span of the day as HH:MM-HH:MM"),
        ("rules:\n  - name: a\n    hours: 25:00-07:00\n", "line 3: rule 1, hours: "),
        ("rules:\n  - name: a\n    days: sonntag\n", "line 3: rule 1, days: Input should be 'mon', 'tue'"),
        ("rules:\n  - modality: CT\n", "line 2: rule 1, name: Field required"),
        ("rules:\n  - name: a\n    source: []\n", "line 3: rule 1, source: "),
        ("rules:\n  - name: a\n    source: 7\n", "line 3: rule 1, source: "),
        ("rules:\n  - name: a\n    read: no\n    priority: low\n", "line 2: rule 1: what is not read has no priority"),
        ("rules:\n  - name: a\n  - name: a\n", 'line 1: rules: two rules are named "a"'),
        ("rules:\n  - name: a\n    read: no\n    read: yes\n", "line 4: read is given twice"),
        ("timezone: Mars/Olympus\nrules: []\n", "line 1: timezone: "),
        ("rules:\n  - name: [\n", "line 3: not YAML"),
        ("", "line 1: "),
        ("timezone: UTC\nrules: \x01\n", "line 2: a character that no text has"),
        ("rules:\n  - name: 2001-99-99\n", "line 2: not YAML: month must be in 1..12"),
        ("rules:\n  ? [a]\n  : b\n", "line 2: not YAML: found unhashable key"),
        ("rules: &a [*a]\n", "line 1: rule 1: "),
        ("[" * 500, "lists in lists"),
    ],
)
def test_a_fault_is_told_with_its_line(write: Callable[[str], Path], text: str, said: str) -> None:
    with pytest.raises(RulesError) as error:
        read(write(text))
    assert f"rules.yaml, {said}" in str(error.value)
    assert "\n" not in str(error.value)


def test_all_faults_are_told_at_once(write: Callable[[str], Path]) -> None:
    with pytest.raises(RulesError, match=r"line 2: .*; line 5: "):
        read(write("rules:\n  - modality: CT\n    read: yes\n  - name: b\n    hours: never\n"))


def test_the_example_can_be_used() -> None:
    example = read(Path(__file__).parents[2] / "deploy" / "rules.yaml")
    assert example.judge(facts("ER_3")).priority is Priority.URGENT
    assert not example.judge(facts(description="QA test of March")).read


def test_without_a_file_everything_is_read_as_routine() -> None:
    ruling = load(Settings()).judge(facts())
    assert (ruling.rule, ruling.read, ruling.priority, ruling.why) == ("", True, Priority.ROUTINE, "")


def test_an_edit_counts_at_once_and_a_bad_one_leaves_the_last_good_rules(write: Callable[[str], Path]) -> None:
    path = write("rules:\n  - name: first\n")
    in_force = RulesInForce(Settings(watcher=WatcherSettings(rules=path)))

    def edit(text: str, second: int) -> str:
        write(text)
        os.utime(path, (second, second))
        return in_force.now().rules[0].name

    assert edit("rules:\n  - name: second\n", 1) == "second"
    assert edit("rules:\n  - nome: third\n", 2) == "second"
    path.unlink()
    assert in_force.now().rules[0].name == "second"
    assert edit("rules:\n  - name: fourth\n", 3) == "fourth"
