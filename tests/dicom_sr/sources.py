"""Small synthetic source images: a CT series and radiographs, as complete as a modality sends them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, CTImageStorage, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

STUDY_UID = "2.25.1000"
CT_SERIES_UID = "2.25.2000"
PROJECTION_SERIES_UID = "2.25.3000"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def ct_series(
    slices: int = 4,
    rows: int = 32,
    columns: int = 40,
    spacing_mm: tuple[float, float, float] = (2.5, 0.7, 0.7),
    orientation: Sequence[float] = AXIAL,
    series_uid: str = CT_SERIES_UID,
) -> list[FileDataset]:
    """Return a CT series in slice order. ``spacing_mm``: slice, row and column; ``orientation`` as in (0020,0037)."""
    normal = np.cross(orientation[:3], orientation[3:])
    instances = []
    for index in range(slices):
        image = _image(CTImageStorage, series_uid, index, rows, columns)
        image.Modality = "CT"
        image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        image.FrameOfReferenceUID = f"{series_uid}.9"
        image.PositionReferenceIndicator = ""
        image.ImageOrientationPatient = [round(value, 10) for value in orientation]
        image.ImagePositionPatient = [
            round(float(value), 6) for value in np.asarray([-50.0, -60.0, 100.0]) + normal * spacing_mm[0] * index
        ]
        image.PixelSpacing = list(spacing_mm[1:])
        image.SliceThickness = spacing_mm[0]
        image.PatientPosition = "HFS"
        image.KVP = 120
        image.AcquisitionNumber = 1
        image.RescaleIntercept = -1024
        image.RescaleSlope = 1
        image.RescaleType = "HU"
        instances.append(image)
    return instances


def projections(
    count: int = 1, rows: int = 30, columns: int = 21, modality: str = "CR", series_uid: str = PROJECTION_SERIES_UID
) -> list[FileDataset]:
    """Return radiographs of one series (CR or DX), without a frame of reference, with pixels that are not square."""
    instances = []
    for index in range(count):
        is_dx = modality == "DX"
        image = _image(
            DigitalXRayImageStorageForPresentation if is_dx else ComputedRadiographyImageStorage, series_uid, index, rows, columns
        )
        image.Modality = modality
        image.ViewPosition = "PA"
        image.PatientOrientation = ["L", "F"]
        image.ImagerPixelSpacing = [0.4, 0.2]
        if is_dx:
            image.ImageType = ["ORIGINAL", "PRIMARY", ""]
            image.PresentationIntentType = "FOR PRESENTATION"
        instances.append(image)
    return instances


def _image(sop_class: str, series_uid: str, index: int, rows: int, columns: int) -> FileDataset:
    sop_instance_uid = f"{series_uid}.1.{index + 1}"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = sop_instance_uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset("", Dataset(), file_meta=meta, preamble=b"\0" * 128)
    image.SpecificCharacterSet = "ISO_IR 100"
    image.SOPClassUID = sop_class
    image.SOPInstanceUID = sop_instance_uid
    image.StudyInstanceUID = STUDY_UID
    image.SeriesInstanceUID = series_uid
    image.SeriesNumber = 1
    image.InstanceNumber = index + 1
    image.PatientID = "TEST-1"
    image.IssuerOfPatientID = "Synthetic"
    image.PatientName = "Synthetic^Patient"
    image.PatientBirthDate = "19600102"
    image.PatientSex = "F"
    image.PatientAge = "064Y"
    image.AccessionNumber = "A1"
    image.StudyID = "1"
    image.StudyDate = "20240506"
    image.StudyTime = "101112"
    image.BodyPartExamined = "CHEST"
    image.StudyDescription = "Synthetic chest"
    image.ReferringPhysicianName = ""
    image.Manufacturer = "Synthetic Modality Works"
    image.ManufacturerModelName = "Phantom"
    image.ContentDate = "20240506"
    image.ContentTime = "101200"
    image.Rows = rows
    image.Columns = columns
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated = 16
    image.BitsStored = 12
    image.HighBit = 11
    image.PixelRepresentation = 0
    ramp = np.add.outer(np.arange(rows), np.arange(columns)) * 8 + 500 + index
    image.PixelData = ramp.astype("<u2").tobytes()
    return image
