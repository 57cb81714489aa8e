"""The model always sees the standard view, and places come back to where they are in the file."""

import numpy as np
import pytest
from pydicom import Dataset

from ai_engine.orientation import Turn, turn_of_projection, turn_of_volume
from radiology.errors import UnsupportedImage
from radiology.image import Projection, Volume


def projection(view: str = "PA", patient_orientation: list[str] | None = None) -> tuple[Projection, Dataset]:
    header = Dataset()
    header.SOPInstanceUID = "1.2.3"
    if patient_orientation is not None:
        header.PatientOrientation = patient_orientation
    return Projection("1.2", 0, np.zeros((4, 6), np.float32), None, view), header


def volume(slice_step: list[float], row_step: list[float], column_step: list[float]) -> Volume:
    affine = np.eye(4)
    affine[:3, :3] = np.stack([slice_step, row_step, column_step], axis=1)
    return Volume("1.2", np.zeros((2, 4, 6), np.float32), affine)


@pytest.mark.parametrize(
    ("patient_orientation", "turn"),
    [
        (None, Turn()),
        ([], Turn()),
        (["L", "F"], Turn()),
        (["LF", "FR"], Turn()),
        (["R", "F"], Turn(columns=True)),
        (["L", "H"], Turn(rows=True)),
        (["R", "H"], Turn(rows=True, columns=True)),
    ],
)
def test_a_frontal_radiograph_is_turned_by_its_patient_orientation(patient_orientation: list[str] | None, turn: Turn) -> None:
    assert turn_of_projection(*projection("PA", patient_orientation)) == turn


@pytest.mark.parametrize(
    ("view", "patient_orientation", "reason"),
    [
        ("LL", None, "LL view"),
        ("RAO", None, "RAO view"),
        ("", ["A", "F"], "lateral"),
        ("", ["P", "F"], "lateral"),
        ("AP", ["F", "L"], "does not stand upright"),
    ],
)
def test_other_views_are_refused(view: str, patient_orientation: list[str] | None, reason: str) -> None:
    with pytest.raises(UnsupportedImage, match=reason):
        turn_of_projection(*projection(view, patient_orientation))


@pytest.mark.parametrize(
    ("steps", "turn"),
    [
        (([0, 0, 2.5], [0, 0.7, 0], [0.7, 0, 0]), Turn()),
        (([0, 0, -2.5], [0, 0.7, 0], [0.7, 0, 0]), Turn()),
        (([0, 0, 2.5], [0, 0.7, 0], [-0.7, 0, 0]), Turn(columns=True)),
        (([0, 0, 2.5], [0, -0.7, 0], [-0.7, 0, 0]), Turn(rows=True, columns=True)),
        (([0, 0.5, 2.4], [0, 0.69, -0.1], [0.7, 0, 0]), Turn()),
    ],
)
def test_axial_slices_are_turned_by_their_geometry(steps: tuple[list[float], ...], turn: Turn) -> None:
    assert turn_of_volume(volume(*steps)) == turn


@pytest.mark.parametrize("steps", [([0, 2.5, 0], [0, 0, -0.7], [0.7, 0, 0]), ([2.5, 0, 0], [0, 0, -0.7], [0, 0.7, 0])])
def test_coronal_and_sagittal_slices_are_refused(steps: tuple[list[float], ...]) -> None:
    with pytest.raises(UnsupportedImage, match="not axial"):
        turn_of_volume(volume(*steps))


@pytest.mark.parametrize("turn", [Turn(rows, columns) for rows in (False, True) for columns in (False, True)])
def test_masks_and_boxes_turn_together_and_back(turn: Turn) -> None:
    mask = np.zeros((5, 8), np.bool_)
    mask[1:3, 2:6] = True
    top, left, bottom, right = turn.apply_to_box((1, 2, 3, 6), (5, 8))
    filled = np.zeros_like(mask)
    filled[top:bottom, left:right] = True
    assert np.array_equal(turn.apply(mask), filled)
    assert np.array_equal(turn.apply(turn.apply(mask)), mask)
    assert turn.apply_to_box((top, left, bottom, right), (5, 8)) == (1, 2, 3, 6)
