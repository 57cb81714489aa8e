"""Known vulnerabilities fail the check, an auditor that hears nothing is not taken for good news, and known ones stay below our bounds."""

import json
import re
import subprocess
import tomllib
from datetime import date
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from deploy.audit import Acceptance, Audit, acceptances, of_npm, of_python, verdict

ROOT = Path(__file__).parents[2]
TODAY = date(2026, 11, 22)
BAD = Audit({"GHSA-1": "pydicom 3.0.1"}, 90)

FLOORS = {
    "pydicom": ("3.0.2", "CVE-2026-32711: paths of a DICOMDIR lead out of its folder"),
    "h11": ("0.16.0", "CVE-2025-43859: request smuggling"),
    "requests": ("2.32.4", "CVE-2024-47081: credentials leak to another host"),
    "starlette": ("0.49.1", "CVE-2025-62727: ranges that take quadratic time"),
    "jinja2": ("3.1.6", "CVE-2025-27516: out of the sandbox"),
    "torch": ("2.6.0", "CVE-2025-32434: code runs when weights are loaded"),
    "setuptools": ("78.1.1", "CVE-2025-47273: path traversal"),
}
"""The first version without a vulnerability that packages of ours are known to have had."""


def test_a_known_vulnerability_fails() -> None:
    report = {"dependencies": [{"name": "pydicom", "version": "3.0.1", "vulns": [{"id": "GHSA-1", "fix_versions": ["3.0.2"]}]}]}
    audit = of_python(report)
    assert audit == Audit(BAD.vulnerabilities, 1)
    is_well, lines = verdict("PyPI", audit, {}, TODAY)
    assert not is_well
    assert "GHSA-1 in pydicom 3.0.1" in lines[1]


@pytest.mark.parametrize(("until", "is_accepted"), [(date(2026, 11, 22), True), (date(2026, 11, 21), False)])
def test_one_may_be_accepted_until_a_day(until: date, is_accepted: bool) -> None:
    accepted = {"GHSA-1": Acceptance(id="GHSA-1", until=until, why="It is not called here.")}
    is_well, lines = verdict("PyPI", BAD, accepted, TODAY)
    assert is_well is is_accepted
    assert str(until) in lines[1]


def test_a_service_that_cannot_be_reached_is_said_and_no_failure() -> None:
    # What pip-audit and npm print behind a mirror of packages without such a service; pip-audit ends with "No known vulnerabilities found".
    skipped = {"name": "pydicom", "skip_reason": "Dependency not found on PyPI and could not be audited: pydicom (3.0.2)"}
    unreachable = {"message": "405 Method Not Allowed", "method": "POST", "statusCode": 405}
    for audit in (of_python({"dependencies": [skipped]}), of_npm(unreachable), of_npm({})):
        is_well, lines = verdict("it", audit, {}, TODAY)
        assert is_well
        assert "NOT AUDITED" in "\n".join(lines)
    nothing_needed = {"vulnerabilities": {}, "metadata": {"dependencies": {"prod": 0}}}
    assert verdict("npm", of_npm(nothing_needed), {}, TODAY) == (True, ["npm: 0 packages audited, 0 vulnerabilities known."])
    known = {"name": "numpy", "version": "2", "vulns": []}
    assert "1 packages are unknown" in verdict("PyPI", of_python({"dependencies": [skipped, known]}), {}, TODAY)[1][-1]


def test_npms_report_is_read_to_the_advisory() -> None:
    advisory = {"url": "https://github.com/advisories/GHSA-2", "title": "Prototype pollution"}
    entries = {"a": {"via": [advisory], "range": "<2"}, "b": {"via": ["a"], "range": "*"}}
    report = {"vulnerabilities": entries, "metadata": {"dependencies": {"prod": 12}}}
    assert of_npm(report) == Audit({"GHSA-2": "a <2"}, 12)


def test_what_is_accepted_has_a_day_and_a_reason() -> None:
    assert all(acceptance.why for acceptance in acceptances().values())


@pytest.mark.parametrize("package", sorted(FLOORS))
def test_no_package_is_older_than_its_last_known_vulnerability(package: str) -> None:
    first_well, why = FLOORS[package]
    assert Version(version(package)) >= Version(first_well), why
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ours = [*project["dependencies"], *(each for extra in project["optional-dependencies"].values() for each in extra)]
    for requirement in map(Requirement, ours):
        if requirement.name.lower() == package:
            bounds = [Version(bound.version) for bound in requirement.specifier if bound.operator in (">=", "==")]
            assert max(bounds) >= Version(first_well), f"pyproject.toml lets an older {package} in: {why}"


@pytest.mark.slow
def test_the_bill_of_materials_names_what_is_installed(tmp_path: Path) -> None:
    subprocess.run([ROOT / "scripts" / "sbom", tmp_path], check=True, capture_output=True)
    python = json.loads((tmp_path / "python.cdx.json").read_text())
    assert python["bomFormat"] == "CycloneDX"
    named = {re.sub("[-_.]+", "-", part["name"]).lower(): part["version"] for part in python["components"]}
    assert all(named[package] == version(package) for package in ("pydicom", "torch", "highdicom", "pynetdicom"))
    assert json.loads((tmp_path / "extension.cdx.json").read_text())["metadata"]["component"]["name"]
