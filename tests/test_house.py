"""The house stands as its documents say: floors, file tree, settings, and nothing of any one machine in the text."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from radiology.settings import Settings

ROOT = Path(__file__).parents[1]
SETTINGS_PAGE = (ROOT / "docs" / "settings.md").read_text()
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()


def settings_fields() -> list[tuple[str, str]]:
    """Every setting as (environment variable, description)."""
    fields = []
    for section, field in Settings.model_fields.items():
        kind = field.annotation
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            fields.append((f"SIGHTLINE_{section}".upper(), field.description or ""))
        else:
            fields += [(f"SIGHTLINE_{section}__{name}".upper(), inner.description or "") for name, inner in kind.model_fields.items()]
    return fields


def test_floors_are_kept() -> None:
    lint = subprocess.run([Path(sys.executable).with_name("lint-imports")], cwd=ROOT, capture_output=True, text=True, check=False)
    assert lint.returncode == 0, lint.stdout + lint.stderr


@pytest.mark.parametrize(("variable", "description"), settings_fields(), ids=lambda value: value if value.startswith("SIGHTLINE") else "")
def test_every_setting_is_documented(variable: str, description: str) -> None:
    row = next((line for line in SETTINGS_PAGE.splitlines() if f"`{variable}`" in line), "")
    assert row, f"docs/settings.md does not name {variable}"
    assert description in row


def test_no_setting_is_documented_that_does_not_exist() -> None:
    documented = set(re.findall(r"^\| `(SIGHTLINE_[A-Z0-9_]+)`", SETTINGS_PAGE, re.MULTILINE))
    assert documented == {variable for variable, _ in settings_fields()}


def test_the_readmes_tree_names_every_source_file() -> None:
    tree = (ROOT / "README.md").read_text().split("## The tree")[1].split("```")[1]
    named: set[str] = set()
    folders: list[tuple[int, str]] = []
    for line in tree.splitlines():
        match = re.match(r"( *)([\w.\-/]+)", line)
        if not match:
            continue
        indent, name = len(match[1]), match[2]
        while folders and folders[-1][0] >= indent:
            folders.pop()
        path = "".join(folder for _, folder in folders) + name
        if name.endswith("/"):
            folders.append((indent, name))
        named.add(path)
    sources = {
        path
        for path in TRACKED
        if path.endswith((".py", ".ts", ".tsx")) and not path.startswith("tests/") and not re.search(r"\.test\.|__init__\.py$", path)
    }
    scripts = {path for path in TRACKED if path.startswith("scripts/")}
    assert not (sources | scripts) - named, "missing in README's tree"
    assert not {path for path in named if not (ROOT / path).exists()}, "in README's tree, but not there"


def test_shell_scripts_parse() -> None:
    for path in TRACKED:
        if path.startswith("scripts/") or path == ".ci/run":
            subprocess.run(["bash", "-n", str(ROOT / path)], check=True)


def test_the_repository_carries_no_patient_data_and_no_large_file() -> None:
    assert not [path for path in TRACKED if path.endswith((".dcm", ".nii", ".nii.gz", ".nrrd"))]
    assert not [path for path in TRACKED if (ROOT / path).exists() and (ROOT / path).stat().st_size > 40_000_000]
