"""Label transfer by registration: a labelled CT is laid over another one, and its labels go along (Citrus-V 3.2.3, branch ii).

``python -m training.data.registration --subject lung1 --out DIR`` writes ``labels.npy`` and ``quality.json``.

Affine first (Mattes mutual information), then demons from coarse to fine. The warp maps places of the subject to places of the
template, so that labels are read backwards, with the nearest neighbour and without holes. What comes out is a draft: a radiologist
accepts or corrects it before it may train anything.

A B-spline between the two (Mattes, 50 mm apart) made it worse where one scan ends in the middle of a lung, and cost most of the time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import SimpleITK as sitk
import typer
from numpy.typing import NDArray

from training.command import run
from training.data.sources import AIR_HU, LEFT_LUNG, RIGHT_LUNG, Scan, load_scan

LUNGS = (RIGHT_LUNG, LEFT_LUNG)
AFFINE_STEP_MM = 8.0
DEMONS_STEPS_MM = (8.0, 4.0)
"""Isotropic grids of the fits, coarse to fine."""
WINDOW_HU = (AIR_HU, 300)
"""What lies outside looks the same: contrast medium and metal differ between patients that are alike."""
SAMPLED = 0.5
"""Share of the voxels that the affine fit looks at."""
AFFINE_ITERATIONS, DEMONS_ITERATIONS = 100, 60
DEMONS_SMOOTHING = 1.5
"""Standard deviation in voxels by which the demons' field is smoothed in every iteration."""
MOST_FOLDED = 0.01
"""More of the voxels than this with a Jacobian determinant of 0 or less, and the warp is no deformation of a body."""
LEAST_DICE = 0.8
"""A held-out organ that agrees less than this was not hit."""


@dataclass(frozen=True)
class Quality:
    """What decides whether transferred labels may be looked at.

    Attributes:
        folded_share: share of the subject's voxels where the warp folds.
        dice: of each held-out organ, by its value in the labels: the subject's own mask against the transferred one.
        state: ``draft`` until a radiologist has judged it, or ``rejected``.
    """

    folded_share: float
    dice: dict[int, float]
    state: Literal["draft", "rejected"]


@dataclass(frozen=True, eq=False)
class Transferred:
    """Labels on the subject's grid, uint8 ``(slice, row, column)``, with their quality."""

    labels: NDArray[np.uint8]
    quality: Quality


def transfer(template: Scan, subject: Scan, held_out: tuple[int, ...] = LUNGS) -> Transferred:
    """Lay ``template`` over ``subject`` and take its labels along.

    ``held_out`` are organs that the subject's own labels know. The fit sees grey values only; the lungs' own labels say where it starts.
    """
    warp = register(template, subject)
    moved = warped(template, subject, warp)
    organs = {value: _dice(subject.labels == value, moved == value) for value in held_out}
    return Transferred(moved, judge(folded_share(_field(warp, _resampled(_image(subject), DEMONS_STEPS_MM[-1]))), organs))


def register(template: Scan, subject: Scan) -> sitk.Transform:
    """Fit the map from the subject's places to the template's, both in LPS millimetres of their own."""
    fixed, moving = (_windowed(_image(scan)) for scan in (subject, template))
    warp = sitk.CompositeTransform(
        [_affine(_resampled(fixed, AFFINE_STEP_MM), _resampled(moving, AFFINE_STEP_MM), _start(template, subject))]
    )
    for step_mm in DEMONS_STEPS_MM:
        grid = _resampled(fixed, step_mm)
        laid_over = sitk.Resample(moving, grid, warp, sitk.sitkLinear, float(AIR_HU))
        demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
        demons.SetNumberOfIterations(DEMONS_ITERATIONS)
        demons.SetSmoothDisplacementField(True)
        demons.SetStandardDeviations(DEMONS_SMOOTHING)
        field = demons.Execute(grid, laid_over)
        warp.AddTransform(sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64)))
    return warp


def _start(template: Scan, subject: Scan) -> sitk.AffineTransform:
    """The top of the subject's lungs on that of the template's, and their width and depth stretched to match.

    The bottom says nothing: many scans end before the lungs do.
    """
    (there, size_there), (here, size_here) = _lungs_top(template), _lungs_top(subject)
    start = sitk.AffineTransform(3)
    start.SetCenter(here.tolist())
    start.SetTranslation((there - here).tolist())
    start.SetMatrix(np.diag([*(size_there / size_here)[:2], 1.0]).ravel().tolist())
    return start


def _lungs_top(scan: Scan) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Middle of the top of the box around the lungs, and the box's size: (x, y, z) in millimetres."""
    voxels = np.argwhere(np.isin(scan.labels, LUNGS))
    low, high = voxels.min(0), voxels.max(0)
    top = np.asarray([high[0], (low[1] + high[1]) / 2, (low[2] + high[2]) / 2])
    return (scan.origin_mm + top * scan.spacing_mm)[::-1], ((high + 1 - low) * scan.spacing_mm)[::-1]


def _affine(fixed: sitk.Image, moving: sitk.Image, start: sitk.AffineTransform) -> sitk.Transform:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(SAMPLED, 1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(learningRate=1.0, minStep=1e-2, numberOfIterations=AFFINE_ITERATIONS)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(start, inPlace=False)
    return method.Execute(fixed, moving)


def warped(template: Scan, subject: Scan, warp: sitk.Transform) -> NDArray[np.uint8]:
    """The template's labels on the subject's grid, nearest neighbour; 0 where the template ends."""
    moved = sitk.Resample(_image(template, template.labels), _image(subject), warp, sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8)
    return np.asarray(sitk.GetArrayFromImage(moved), np.uint8)


def folded_share(field: sitk.Image) -> float:
    """Share of a displacement field's voxels (millimetres, LPS) where its Jacobian determinant is not positive."""
    return float((sitk.GetArrayViewFromImage(sitk.DisplacementFieldJacobianDeterminant(field)) <= 0).mean())


def judge(folded: float, organs: Mapping[int, float]) -> Quality:
    """Reject a warp that folds or misses a held-out organ; anything else is a draft."""
    good = folded <= MOST_FOLDED and all(value >= LEAST_DICE for value in organs.values())
    return Quality(folded, dict(organs), "draft" if good else "rejected")


def _dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(sitk.GetImageFromArray(one.astype(np.uint8)), sitk.GetImageFromArray(other.astype(np.uint8)))
    return float(overlap.GetDiceCoefficient())


def _field(warp: sitk.Transform, grid: sitk.Image) -> sitk.Image:
    return sitk.TransformToDisplacementField(
        warp, sitk.sitkVectorFloat64, grid.GetSize(), grid.GetOrigin(), grid.GetSpacing(), grid.GetDirection()
    )


def _image(scan: Scan, values: NDArray[np.uint8] | None = None) -> sitk.Image:
    image = sitk.GetImageFromArray(scan.hounsfield.astype(np.float32) if values is None else values)
    image.SetSpacing(tuple(reversed(scan.spacing_mm)))
    image.SetOrigin(tuple(reversed(scan.origin_mm)))
    return image


def _windowed(image: sitk.Image) -> sitk.Image:
    return sitk.Clamp(image, sitk.sitkFloat32, *map(float, WINDOW_HU))


def _resampled(image: sitk.Image, step_mm: float) -> sitk.Image:
    """On an isotropic grid of ``step_mm``, smoothed as far as the grid needs it."""
    size = [max(2, round(count * spacing / step_mm)) for count, spacing in zip(image.GetSize(), image.GetSpacing(), strict=True)]
    sigmas = [max(0.0, (step_mm - spacing) / 2) for spacing in image.GetSpacing()]
    smooth = sitk.SmoothingRecursiveGaussian(image, [max(sigma, 1e-3) for sigma in sigmas]) if any(sigmas) else image
    return sitk.Resample(
        smooth, size, sitk.Transform(), sitk.sitkLinear, image.GetOrigin(), [step_mm] * 3, image.GetDirection(), float(AIR_HU)
    )


def main(
    subject: Annotated[str, typer.Option(help="Scan that gets labels.")],
    out: Annotated[Path, typer.Option(help="Folder of labels.npy and quality.json.")],
    template: Annotated[str, typer.Option(help="Scan with labels.")] = "LIDC-IDRI-0001",
    sources: Annotated[Path, typer.Option(help="Folder of the downloaded packages.")] = Path("var/sources"),
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
) -> None:
    """Transfer the labels of one scan to another one."""
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    result = transfer(load_scan(template, sources), load_scan(subject, sources))
    out.mkdir(parents=True, exist_ok=True)
    np.save(out / "labels.npy", result.labels)
    quality = asdict(result.quality) | {"template": template, "subject": subject}
    (out / "quality.json").write_text(json.dumps(quality, indent=1) + "\n")
    typer.echo(json.dumps(quality))


if __name__ == "__main__":
    run(main)
