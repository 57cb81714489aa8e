"""Asks the vulnerability services of PyPI and npm about everything that is installed here and for the extension.

    python -m deploy.audit

Exit status 1 where a vulnerability is known that ``deploy/accepted.toml`` does not accept, or not any more. A service that does not
answer is said loudly and is no failure: what is not audited is not known to be ill. tests/deploy/test_audit.py holds, without any
network, to the lower bounds of packages that had one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

ROOT = Path(__file__).resolve().parents[1]
ACCEPTED = Path(__file__).with_name("accepted.toml")

_SECONDS = 300


class Acceptance(BaseModel):
    """A known vulnerability that we live with until a day, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    until: date
    why: str


@dataclass(frozen=True)
class Audit:
    """What a service said.

    Attributes:
        vulnerabilities: identifier of each, and the package with its version.
        audited: number of packages that the service knew; None where it did not answer.
        unknown: number of packages that it did not know.
    """

    vulnerabilities: Mapping[str, str]
    audited: int | None = None
    unknown: int = 0


def of_python(report: Mapping[str, Any]) -> Audit:
    """Read the JSON of pip-audit. Where PyPI's service is out of reach, it calls every package unknown and the whole fine."""
    listed = report["dependencies"]
    known = [package for package in listed if "skip_reason" not in package]
    found = {vuln["id"]: f"{package['name']} {package['version']}" for package in known for vuln in package["vulns"]}
    return Audit(found, len(known) or None, len(listed) - len(known))


def of_npm(report: Mapping[str, Any]) -> Audit:
    """Read the JSON of npm audit; an error in place of a report is no answer."""
    if "vulnerabilities" not in report:
        return Audit({})
    found = {}
    for name, package in report["vulnerabilities"].items():
        for cause in package["via"]:
            if isinstance(cause, dict):  # else it is the name of another entry
                found[str(cause["url"]).rsplit("/", 1)[-1]] = f"{name} {package['range']}"
    return Audit(found, report["metadata"]["dependencies"]["prod"])


def verdict(name: str, audit: Audit, accepted: Mapping[str, Acceptance], today: date) -> tuple[bool, list[str]]:
    """Return whether nothing is against it, and what to print of it."""
    if audit.audited is None:
        return True, [f"{name}: NOT AUDITED. Its vulnerability service cannot be reached from here, which says nothing of the packages."]
    lines, is_well = [f"{name}: {audit.audited} packages audited, {len(audit.vulnerabilities)} vulnerabilities known."], True
    for identifier, package in sorted(audit.vulnerabilities.items()):
        acceptance = accepted.get(identifier)
        if acceptance and acceptance.until >= today:
            lines.append(f"  {identifier} in {package}: accepted until {acceptance.until}, {acceptance.why}")
            continue
        is_well = False
        late = f" (accepted until {acceptance.until}, which is over)" if acceptance else ""
        lines.append(f"  {identifier} in {package}{late}: raise its version, or accept it in deploy/accepted.toml until a day.")
    if audit.unknown:
        lines.append(f"  {audit.unknown} packages are unknown to the service.")
    return is_well, lines


def acceptances(file: Path = ACCEPTED) -> dict[str, Acceptance]:
    """Return what ``file`` accepts, by identifier."""
    entries = tomllib.loads(file.read_text())["accepted"]
    return {entry["id"]: Acceptance(**entry) for entry in entries}


def _report(*command: str, folder: Path) -> dict[str, Any]:
    """Return the JSON that an auditor prints; nothing where it prints none or takes too long."""
    try:
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False)
        report: dict[str, Any] = json.loads(run.stdout)
    except (subprocess.TimeoutExpired, FileNotFoundError, json.JSONDecodeError):
        return {}
    return report


def main() -> int:
    """Audit both; return the exit status."""
    python = [sys.executable, "-m", "pip_audit", "--local", "--skip-editable", "--progress-spinner=off", "--format=json", "--timeout=5"]
    audits: dict[str, Callable[[], Audit]] = {
        "PyPI": lambda: of_python({"dependencies": []} | _report(*python, folder=ROOT)),
        "npm": lambda: of_npm(_report("npm", "audit", "--omit=dev", "--json", folder=ROOT / "ohif-extension")),
    }
    accepted, today, is_well = acceptances(), datetime.now(UTC).date(), True
    for name, ask in audits.items():
        well, lines = verdict(name, ask(), accepted, today)
        is_well &= well
        print("\n".join(lines))
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
