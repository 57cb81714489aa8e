"""Programs of other people, as installed, and the files that they are given."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from pydicom import Dataset, dcmwrite

DEVICE_UID_WARNING = (
    "Warning - </ContributingEquipmentSequence(0018,a001)[{}]/DeviceUID(0018,1002)> - Attribute is not present in standard DICOM IOD"
)
"""IHE AIR asks for the Device UID there and PS3.3 C.12.1 has it; dicom3tools' tables do not know it yet."""


def program(name: str, package: str) -> str:
    """Return the path of a program inside a Python package, beside this Python, or on the PATH."""
    spec = find_spec(package.split()[-1])
    # The program itself, not the script that starts it: that costs ten times as much.
    inside = str(Path(str(spec.origin)).parent / "bin") if spec else ""
    found = shutil.which(name, path=inside) or shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is missing; install {package}.")
    return found


def ask(*command: str | Path, cwd: Path | None = None) -> tuple[int, str]:
    """Run a program; return its exit status and all that it printed."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=cwd, timeout=3000, check=False)
    return done.returncode, done.stdout + done.stderr


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a program that must end well, and return what it printed."""
    status, said = ask(*command, cwd=cwd)
    assert status == 0, said
    return said


def save(objects: Sequence[Dataset], folder: Path) -> list[Path]:
    """Write objects as files ``000.dcm``, ``001.dcm``, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:03}.dcm" for number in range(len(objects))]
    for path, dataset in zip(paths, objects, strict=True):
        dcmwrite(path, dataset, enforce_file_format=True)
    return paths


def complaints(path: Path) -> list[str]:
    """Return the errors and warnings of dciodvfy on one of our objects, less the one on Device UID."""
    _, said = ask(program("dciodvfy", "the Python package dicom3tools"), "-new", path)
    lines = [line for line in said.splitlines() if line.startswith(("Error", "Warning", "Abort"))]
    return [line for line in lines if line not in {DEVICE_UID_WARNING.format(item) for item in (1, 2)}]
