"""What the benchmark of segmentations compares is the same, bit for bit."""

import numpy as np
import pytest

from benchmarks.seg import ARRAYS, MASKS, NUMBERS, digest, with_highdicom, with_sightline
from radiology.finding import Box, Region
from radiology.study import Study
from tests.dicom_sr.sources import CT_SERIES_UID, ct_series

SIZE = (5, 16, 24)


@pytest.mark.parametrize("form", [MASKS, NUMBERS])
def test_our_frames_are_those_that_highdicom_makes_itself(form: str) -> None:
    study = Study.from_instances(ct_series(*SIZE))
    chance = np.random.default_rng(1)
    # Apart, as an array of numbers must have them; the second is not on every slice.
    boxes = [Box((0, 0, 0), (5, 7, 9)), Box((1, 8, 2), (4, 16, 24)), Box((2, 0, 10), (3, 8, 20))]
    regions = [Region(CT_SERIES_UID, box, chance.random(box.shape) > 0.4) for box in boxes]
    assert digest(with_sightline(study, regions)) == digest(with_highdicom(study, ARRAYS[form](regions, SIZE), len(regions)))
