"""Studies of the chest phantom that the taught model knows, as a modality sends them."""

from collections.abc import Sequence
from math import cos, radians, sin

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.uid import generate_uid

from radiology import image
from radiology.study import Study
from tests.ai_engine.conftest import chest
from tests.dicom_sr.sources import ct_series, enhanced, projections

ROWS, COLUMNS = 140, 140


def radiographs(*views: str, modality: str = "DX") -> list[FileDataset]:
    """Radiographs of one fresh study, all with the pixels of the frontal phantom, whatever their View Position says."""
    films = projections(len(views), ROWS, COLUMNS, modality)
    for film, view in zip(films, views, strict=True):
        film.ViewPosition = view
        film.ImagerPixelSpacing = [0.4, 0.4]
        film.PixelData = chest(ROWS, COLUMNS).astype("<u2").tobytes()
    return _fresh(films)


def ct(slices: int = 6) -> list[FileDataset]:
    """An axial CT of a fresh study whose every slice is the phantom: soft tissue 40 HU, lungs about -800 HU."""
    return _fresh(_with_phantom(ct_series(slices, ROWS, COLUMNS, (5.0, 2.0, 2.0))))


def tilted_ct(slices: int = 6) -> list[FileDataset]:
    """The same slices, taken with the gantry tilted by 15 degrees: each lies a little further back than the one below it."""
    tilt = radians(15)
    orientation = (1.0, 0.0, 0.0, 0.0, cos(tilt), -sin(tilt))
    return _fresh(_with_phantom(ct_series(slices, ROWS, COLUMNS, (5.0, 2.0, 2.0), orientation, direction=(0.0, 0.0, 1.0))))


def multi_frame_ct(slices: int = 6) -> list[FileDataset]:
    """The same slices as the frames of one instance, the last one first."""
    return _fresh(enhanced(_with_phantom(ct_series(slices, ROWS, COLUMNS, (5.0, 2.0, 2.0))), range(slices)[::-1]))


def mirrored(instances: Sequence[FileDataset]) -> list[FileDataset]:
    """The same body, written with its columns from the patient's left to the right, and the header says so."""
    for instance in instances:
        pixels: NDArray[np.uint16] = np.frombuffer(instance.PixelData, "<u2").reshape(ROWS, COLUMNS)
        instance.PixelData = pixels[:, ::-1].tobytes()
        if instance.Modality == "CT":
            instance.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]
            position = [float(value) for value in instance.ImagePositionPatient]
            instance.ImagePositionPatient = [position[0] + 2.0 * (COLUMNS - 1), *position[1:]]
        else:
            instance.PatientOrientation = ["R", "F"]
    return list(instances)


def load(instances: Sequence[FileDataset]) -> tuple[Study, list[image.Image]]:
    """The study with its images decoded, as the worker would have them."""
    study = Study.from_instances(instances)
    return study, [each for series in study.series for each in image.load(series, instances)]


def _with_phantom(series: Sequence[FileDataset]) -> Sequence[FileDataset]:
    for instance in series:
        instance.PixelData = (chest(ROWS, COLUMNS) * 1.05 + 14).astype("<u2").tobytes()
    return series


def _fresh(instances: Sequence[FileDataset]) -> list[FileDataset]:
    study_uid, series_uid, frame_uid = generate_uid(), generate_uid(), generate_uid()
    for instance in instances:
        instance.StudyInstanceUID, instance.SeriesInstanceUID, instance.SOPInstanceUID = study_uid, series_uid, generate_uid()
        instance.file_meta.MediaStorageSOPInstanceUID = instance.SOPInstanceUID
        if "FrameOfReferenceUID" in instance:
            instance.FrameOfReferenceUID = frame_uid
    return list(instances)
