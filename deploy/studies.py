"""The demo's studies: one real CT, three radiographs projected from it, one real radiograph.

Only the recipe is here. The pixels come from packages that are downloaded once (``training.data.sources``), the studies
made from them are kept in the data folder. What is known of each lies beside its images.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from rich.console import Console

from deploy.truth import Truth
from radiology.errors import StudyError

KEPT = frozenset({"sources", "studies"})
"""What of the data folder does not depend on any run."""

_EDITION = "1"
"""Raised whenever the recipe changes, so that cached studies are made again."""


@dataclass(frozen=True)
class DemoStudy:
    """A study to send. ``truth`` is None where nothing is known of it."""

    study_uid: str
    description: str
    folder: Path
    truth: Truth | None


@dataclass(frozen=True)
class Recipe:
    """How one study is made: ``make(sources_folder)`` returns its images and what is known of them."""

    name: str
    attribution: str
    make: Callable[[Path], tuple[list[Dataset], Truth | None]]


def prepare(data_folder: Path, console: Console) -> list[DemoStudy]:
    """Return the demo studies, making those that are not in ``data_folder/studies`` yet, and print where each comes from.

    Raises:
        SightlineError: a source cannot be downloaded, or is not the file that is expected.
        OSError: the disk is full.
    """
    folder = data_folder / "studies" / _EDITION
    prepared = []
    for recipe in RECIPES:
        if not (folder / recipe.name).is_dir():
            with console.status(f"Making the study {recipe.name} ..."):
                _make(recipe, folder, data_folder / "sources")
        study = _load(folder / recipe.name)
        console.print(f"{study.description}\n  {recipe.attribution}", style="dim", markup=False, soft_wrap=True)
        prepared.append(study)
    (folder / "ATTRIBUTION.txt").write_text("".join(f"{recipe.name}: {recipe.attribution}\n" for recipe in RECIPES))
    return prepared


def _make(recipe: Recipe, folder: Path, sources: Path) -> None:
    images, truth = recipe.make(sources)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="making-") as name:
        study = Path(name) / "study"
        (study / "images").mkdir(parents=True)
        for number, image in enumerate(images, 1):
            image.save_as(study / "images" / f"{number:03}.dcm", enforce_file_format=True)
        if truth:
            truth.save(study)
        study.rename(folder / recipe.name)  # whole or not at all


def _load(folder: Path) -> DemoStudy:
    header = dcmread(next((folder / "images").glob("*.dcm")), stop_before_pixels=True)
    truth = Truth.load(folder) if (folder / "truth.json").exists() else None
    return DemoStudy(str(header.StudyInstanceUID), str(header.StudyDescription), folder / "images", truth)


def _real_radiograph(sources: Path) -> tuple[list[Dataset], Truth | None]:
    """RG1 of the NEMA compressed samples, as pydicom-data ships it but for what no validator accepts and nobody needs."""
    path = get_testdata_file("RG1_UNCR.dcm", download=False)
    if path is None:
        raise StudyError("The package pydicom-data is missing; run scripts/setup.")
    image = dcmread(str(path))
    for keyword in ("PixelSpacing", "Sensitivity"):  # zero, which no viewer can divide by
        delattr(image, keyword)
    for keyword in ("OtherPatientIDs", "InstitutionName", "InstitutionalDepartmentName", "DataSetTrailingPadding"):
        delattr(image, keyword)
    image.PatientBirthDate = ""
    image.ReferringPhysicianName = ""
    image.AccessionNumber = ""
    image.StudyDescription = "CR CHEST PA (RG1, NEMA sample)"
    return [image], None


RECIPES = (
    Recipe(
        "radiograph-real",
        "RG1 of the NEMA compressed samples, from the package pydicom-data 1.0.0 (MIT); real, nothing is known of it: shown, not scored.",
        _real_radiograph,
    ),
)
