"""A phantom case: two dark lungs and a bright mediastinum."""

import numpy as np

from training.data.cases import Case

SIDE = 96


def chest(seed: int) -> Case:
    """Two dark lungs and a bright mediastinum, at places that vary."""
    drawn = np.random.default_rng(seed)
    down, right = drawn.integers(-8, 9, 2)
    rows, columns = np.mgrid[:SIDE, :SIDE]

    def ellipse(row: float, column: float, height: float, width: float) -> np.ndarray:
        return ((rows - row - down) / height) ** 2 + ((columns - column - right) / width) ** 2 < 1

    masks = {"right lung": ellipse(46, 28, 30, 15), "left lung": ellipse(46, 68, 30, 15), "mediastinum": ellipse(52, 48, 28, 9)}
    image = np.full((SIDE, SIDE), 160, np.int16)
    image[masks["right lung"] | masks["left lung"]] = 40
    image[masks["mediastinum"]] = 220
    return Case(f"chest-{seed}", "phantom", "projection", (image + drawn.normal(0, 4, image.shape)).astype(np.int16), masks)


def with_nodule(row: int, column: int) -> Case:
    case = chest(0)
    case.masks["left nodule"] = np.zeros_like(case.masks["left lung"])
    case.masks["left nodule"][row : row + 9, column : column + 9] = True
    return case
