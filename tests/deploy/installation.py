"""The secrets and certificates of an installation, made in a folder of its own by the script that makes them on a host."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def make_secrets(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``scripts/secrets`` as if ``folder`` were the repository's."""
    (folder / "scripts").mkdir(exist_ok=True)
    script = shutil.copy(ROOT / "scripts" / "secrets", folder / "scripts")
    return subprocess.run([script, *arguments], cwd=folder, capture_output=True, text=True, check=False)


def show_secrets(service: str, folder: Path, target: Path) -> Path:
    """Lay into ``target`` what a service's container finds in /run/secrets, with the files of ``folder``; returns it."""
    target.mkdir()
    for wanted in SERVICES[service]["secrets"]:
        source, name = (wanted["source"], wanted["target"]) if isinstance(wanted, dict) else (wanted, wanted)
        shutil.copy(folder / COMPOSE["secrets"][source]["file"], target / name)
    return target


def environment(service: str, host: str, secrets: Path) -> dict[str, str]:
    """The variables of a service for this host name, with its secrets in another folder."""
    given = {name: re.sub(r"\$\{HOST_NAME:-[^}]*\}", host, str(value)) for name, value in SERVICES[service].get("environment", {}).items()}
    return {name: value.replace("/run/secrets", str(secrets)) for name, value in given.items()}
