"""A contact sheet shows every case twice: as it is, and with its masks in colour."""

import numpy as np

from training.data.cases import Case
from training.data.contact_sheet import sheet
from training.data.scene import SIZE


def test_masks_are_in_colour_beside_the_plain_image() -> None:
    mask = np.zeros((SIZE, SIZE), bool)
    mask[40:90, 30:80] = True
    image = np.tile(np.arange(SIZE, dtype=np.int16), (SIZE, 1))
    case = Case("train-0000-000", "chest", "projection", image, {"left nodule": mask})
    picture = np.asarray(sheet([case, case, case], pairs_a_row=2))
    assert picture.shape == (2 * SIZE, 4 * SIZE, 3)
    coloured = np.ptp(picture[:SIZE, SIZE : 2 * SIZE].astype(int), axis=2) > 0
    assert coloured[mask].all()
    assert not coloured[~mask].any()
    assert (np.ptp(picture[:SIZE, :SIZE].astype(int), axis=2) == 0).all()
