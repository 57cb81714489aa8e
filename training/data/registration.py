"""Label transfer by registration: a labelled CT is laid over another one, and its labels go along (Citrus-V 3.2.3, branch ii).

``python -m training.data.registration --template LIDC-IDRI-0001 --subject lung1 --out DIR`` writes ``labels.npy`` and ``quality.json``.

Affine first (Mattes mutual information), then a B-spline (local correlation), then diffeomorphic demons: coarse to fine. The result maps
places of the subject to places of the template, so that the labels are read backwards with the nearest neighbour and leave no holes.
What comes out is a draft: a radiologist accepts or corrects it before it may train anything.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from training.data.sources import AIR_HU, LEFT_LUNG, RIGHT_LUNG, Scan, load_scan
from training.evaluation.overlap import dice

STEP_MM = 4.0
"""Isotropic grid of the affine and the B-spline fit; the demons work at half of it."""
WINDOW_HU = (AIR_HU, 300)
"""What lies outside looks the same: contrast medium and metal differ between patients that are alike."""
GRID_MM = 50.0
"""Distance of the B-spline's control points."""
CORRELATION_RADIUS = 2
SAMPLED = 0.2
"""Share of the voxels that the metrics look at."""
DEMONS_ITERATIONS = 50
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


def transfer(template: Scan, subject: Scan, held_out: tuple[int, ...] = (RIGHT_LUNG, LEFT_LUNG)) -> Transferred:
    """Lay ``template`` over ``subject`` and take its labels along.

    ``held_out`` are organs that the subject's own labels know; the fit sees grey values only.
    """
    warp = register(_image(template), _image(subject))
    labels = warped(template, subject, warp)
    organs = {value: dice(subject.labels == value, labels == value) for value in held_out}
    return Transferred(labels, judge(folded_share(_field(warp, _resampled(_image(subject), STEP_MM))), organs))


def register(template: sitk.Image, subject: sitk.Image) -> sitk.Transform:
    """Fit the map from the subject's places to the template's, both in millimetres of their own LPS space.

    Raises ``RuntimeError`` where the two images do not overlap at all.
    """
    fixed, moving = (_resampled(_windowed(image), STEP_MM) for image in (subject, template))
    affine = _affine(fixed, moving)
    spline = _spline(fixed, moving, affine)
    together = sitk.CompositeTransform([affine, spline])
    fine = _resampled(_windowed(subject), STEP_MM / 2)
    laid_over = sitk.Resample(_windowed(template), fine, together, sitk.sitkLinear, float(AIR_HU))
    demons = sitk.DiffeomorphicDemonsRegistrationFilter()
    demons.SetNumberOfIterations(DEMONS_ITERATIONS)
    demons.SetSmoothDisplacementField(True)
    demons.SetStandardDeviations(DEMONS_SMOOTHING)
    field = demons.Execute(fine, sitk.HistogramMatching(laid_over, fine, 256, 15))
    return sitk.CompositeTransform([affine, spline, sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64))])


def _affine(fixed: sitk.Image, moving: sitk.Image) -> sitk.Transform:
    start = sitk.CenteredTransformInitializer(fixed, moving, sitk.AffineTransform(3), sitk.CenteredTransformInitializerFilter.GEOMETRY)
    method = _method()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetOptimizerAsRegularStepGradientDescent(learningRate=1.0, minStep=1e-3, numberOfIterations=200)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2, 1, 0])
    method.SetInitialTransform(start, inPlace=False)
    return method.Execute(fixed, moving)


def _spline(fixed: sitk.Image, moving: sitk.Image, affine: sitk.Transform) -> sitk.Transform:
    size_mm = [size * step for size, step in zip(fixed.GetSize(), fixed.GetSpacing(), strict=True)]
    mesh = [max(1, round(length / GRID_MM)) for length in size_mm]
    method = _method()
    method.SetMetricAsANTSNeighborhoodCorrelation(CORRELATION_RADIUS)
    method.SetOptimizerAsLBFGSB(gradientConvergenceTolerance=1e-5, numberOfIterations=20)
    method.SetMovingInitialTransform(affine)
    method.SetInitialTransform(sitk.BSplineTransformInitializer(fixed, mesh), inPlace=True)
    return method.Execute(fixed, moving)


def _method() -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    method.SetInterpolator(sitk.sitkLinear)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(SAMPLED, 1)
    return method


def warped(template: Scan, subject: Scan, warp: sitk.Transform) -> NDArray[np.uint8]:
    """The template's labels on the subject's grid, nearest neighbour; 0 where the template ends."""
    moved = sitk.Resample(_image(template, template.labels), _image(subject), warp, sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8)
    return np.asarray(sitk.GetArrayFromImage(moved), np.uint8)


def folded_share(field: sitk.Image) -> float:
    """Share of a displacement field's voxels (millimetres, LPS) where its Jacobian determinant is not positive."""
    return float((sitk.GetArrayViewFromImage(sitk.DisplacementFieldJacobianDeterminant(field)) <= 0).mean())


def judge(folded: float, organs: Mapping[int, float]) -> Quality:
    """Reject a warp that folds or misses a held-out organ (specification A8); anything else is a draft."""
    good = folded <= MOST_FOLDED and all(value >= LEAST_DICE for value in organs.values())
    return Quality(folded, dict(organs), "draft" if good else "rejected")


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


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--template", default="LIDC-IDRI-0001", help="scan with labels")
    parser.add_argument("--subject", required=True, help="scan that gets them")
    parser.add_argument("--sources", type=Path, default=Path("var/sources"), help="folder of the downloaded packages")
    parser.add_argument("--out", type=Path, required=True, help="folder of labels.npy and quality.json")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(arguments.threads)
    template, subject = (load_scan(name, arguments.sources) for name in (arguments.template, arguments.subject))
    result = transfer(template, subject)
    arguments.out.mkdir(parents=True, exist_ok=True)
    np.save(arguments.out / "labels.npy", result.labels)
    quality = asdict(result.quality) | {"template": template.name, "subject": subject.name}
    (arguments.out / "quality.json").write_text(json.dumps(quality, indent=1) + "\n")
    print(json.dumps(quality))


if __name__ == "__main__":
    main()
