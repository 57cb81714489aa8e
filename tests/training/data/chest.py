"""A chest of ellipsoids: two lungs, a heart to the left of the middle, a spine; on a grid with unlike spacings."""

import numpy as np

from training.data.sources import AIR_HU, GREAT_VESSELS, HEART, LEFT_LUNG, RIGHT_LUNG, Scan

SPACING = (4.0, 3.0, 3.0)
SHAPE = (70, 80, 110)


def ellipsoid(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> np.ndarray:
    """True inside; millimetres from the grid's first voxel, ``(slice, row, column)``."""
    grid = np.meshgrid(*(np.arange(size) * step for size, step in zip(SHAPE, SPACING, strict=True)), indexing="ij")
    return sum(((axis - middle) / radius) ** 2 for axis, middle, radius in zip(grid, centre, radii, strict=True)) < 1


def chest() -> Scan:
    hounsfield = np.full(SHAPE, AIR_HU, np.int16)
    labels = np.zeros(SHAPE, np.uint8)
    hounsfield[ellipsoid((140, 120, 165), (200, 105, 155))] = 40
    for value, middle in ((RIGHT_LUNG, 90), (LEFT_LUNG, 240)):
        lung = ellipsoid((140, 120, middle), (120, 80, 55))
        hounsfield[lung], labels[lung] = -850, value
    heart = ellipsoid((110, 90, 180), (50, 45, 45))
    hounsfield[heart], labels[heart] = 45, HEART
    vessels = ellipsoid((180, 110, 160), (50, 20, 20))
    hounsfield[vessels], labels[vessels] = 45, GREAT_VESSELS
    hounsfield[ellipsoid((140, 190, 165), (140, 18, 18))] = 500
    return Scan("chest", hounsfield, labels, np.zeros(SHAPE, bool), SPACING, (0.0, 0.0, 0.0), has_organs=True)


def ball(radius: int) -> np.ndarray:
    """A nodule's shape: a boolean block."""
    axis = np.arange(-radius, radius + 1)
    return (axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None, :] ** 2) <= radius**2
