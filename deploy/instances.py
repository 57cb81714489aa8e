"""Arrays as DICOM images: a CT series and a digital radiograph that any archive and validator accepts.

Everything is derived from the study's key: the same arrays give the same bytes and the same UIDs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
)

_DATE = "20000101"
_TIME = "120000"


@dataclass(frozen=True)
class Origin:
    """What the headers of one demo study say.

    Attributes:
        key: a word of its own; all UIDs follow from it.
        patient: Patient ID, and the family name of the Patient's Name.
        study_description: Study Description (at most 64 characters).
        series_description: Series Description (at most 64 characters).
        derivation: Derivation Description: how the pixels were made.
        synthetic: whether the pixels were computed rather than acquired.
    """

    key: str
    patient: str
    study_description: str
    series_description: str
    derivation: str
    synthetic: bool


def derived_uid(*words: str) -> UID:
    """Return the UID below 2.25 (PS3.5 B.2) that these words stand for."""
    number = int.from_bytes(hashlib.sha256("\n".join(words).encode()).digest()[:16], "big")
    # The variant and version bits of a name-based UUID (RFC 9562).
    number = number & ~(0xF << 76) & ~(0x3 << 62) | (0x8 << 76) | (0x2 << 62)
    return UID(f"2.25.{number}")


def ct_series(origin: Origin, hounsfield: NDArray[np.int16], affine: NDArray[np.float64]) -> list[Dataset]:
    """Return the slices of an axial CT.

    Args:
        origin: what the headers say.
        hounsfield: ``(slice, row, column)``.
        affine: 4 x 4, an index ``(slice, row, column, 1)`` to LPS millimetres, without rotation.
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    instances = []
    for index, pixels in enumerate(hounsfield):
        image = _common(origin, CTImageStorage, "CT", index + 1)
        # Frame of Reference, Image Plane (PS3.3 C.7.4.1, C.7.6.2)
        image.FrameOfReferenceUID = derived_uid("sightline demo", origin.key, "frame of reference")
        image.PositionReferenceIndicator = ""
        image.PatientPosition = "HFS"
        image.PixelSpacing = [_decimal(spacing[1]), _decimal(spacing[2])]
        image.SliceThickness = _decimal(spacing[0])
        image.ImageOrientationPatient = [_decimal(value) for value in (*affine[:3, 2] / spacing[2], *affine[:3, 1] / spacing[1])]
        image.ImagePositionPatient = [_decimal(value) for value in (affine @ [index, 0, 0, 1])[:3]]
        # CT Image (PS3.3 C.8.2.1)
        image.ImageType = ["DERIVED", "PRIMARY", "AXIAL"]
        image.AcquisitionNumber = 1
        image.KVP = ""
        image.RescaleIntercept = "0"
        image.RescaleSlope = "1"
        image.RescaleType = "HU"
        image.WindowCenter = ["40", "-500"]
        image.WindowWidth = ["400", "1500"]
        image.WindowCenterWidthExplanation = ["Soft tissue", "Lung"]
        _set_pixels(image, pixels.astype("<i2"), bits=16)
        instances.append(image)
    return instances


def radiograph(origin: Origin, pixels: NDArray[np.uint16], spacing_mm: float) -> Dataset:
    """Return one frontal (PA) digital radiograph of the chest.

    Args:
        origin: what the headers say.
        pixels: ``(row, column)``, 12 bits, bright where more was absorbed; the patient's right is at column 0.
        spacing_mm: distance of pixel centres in the plane of the detector.
    """
    image = _common(origin, DigitalXRayImageStorageForPresentation, "DX", 1)
    image.PresentationIntentType = "FOR PRESENTATION"
    # DX Anatomy Imaged, DX Positioning (PS3.3 C.8.11.2, C.8.11.5)
    image.ImageLaterality = "U"
    image.AnatomicRegionSequence = [_coded("816094009", "SCT", "Chest")]
    image.PatientOrientation = ["L", "F"]
    image.PositionerType = ""
    image.ViewPosition = "PA"
    view = _coded("272479007", "SCT", "postero-anterior")  # CID 4010
    view.ViewModifierCodeSequence = []
    image.ViewCodeSequence = [view]
    # DX Image, DX Detector (PS3.3 C.8.11.3, C.8.11.4)
    image.ImageType = ["DERIVED", "PRIMARY"]
    image.PixelIntensityRelationship = "LOG"
    image.PixelIntensityRelationshipSign = -1
    image.RescaleIntercept = "0"
    image.RescaleSlope = "1"
    image.RescaleType = "US"
    image.PresentationLUTShape = "IDENTITY"
    image.LossyImageCompression = "00"
    image.BurnedInAnnotation = "NO"
    image.WindowCenter = "2048"
    image.WindowWidth = "4096"
    image.DetectorType = ""
    image.ImagerPixelSpacing = [_decimal(spacing_mm)] * 2
    image.AcquisitionContextSequence = []
    _set_pixels(image, pixels.astype("<u2"), bits=12)
    return image


def _common(origin: Origin, sop_class: UID, modality: str, number: int) -> Dataset:
    """Patient, study, series, equipment and SOP common modules; type 2 attributes that nobody knows are empty."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SpecificCharacterSet = "ISO_IR 192"
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = sop_class
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = derived_uid("sightline demo", origin.key, "image", str(number))
    image.SyntheticData = "YES" if origin.synthetic else "NO"
    image.PatientName = f"{origin.patient}^DEMO"
    image.PatientID = origin.patient
    image.PatientBirthDate = ""
    image.PatientSex = ""
    image.PatientIdentityRemoved = "YES"
    image.DeidentificationMethod = "By the source of the data; UIDs, dates and names made anew"
    image.StudyInstanceUID = derived_uid("sightline demo", origin.key, "study")
    image.SeriesInstanceUID = derived_uid("sightline demo", origin.key, "series")
    image.StudyDate = image.SeriesDate = image.ContentDate = image.AcquisitionDate = _DATE
    image.StudyTime = image.SeriesTime = image.ContentTime = image.AcquisitionTime = _TIME
    image.ReferringPhysicianName = ""
    image.AccessionNumber = ""
    image.StudyID = "1"
    image.StudyDescription = origin.study_description
    image.SeriesDescription = origin.series_description
    image.SeriesNumber = 1
    image.Modality = modality
    image.BodyPartExamined = "CHEST"
    image.Manufacturer = ""
    image.InstanceNumber = number
    image.DerivationDescription = origin.derivation
    return image


def _set_pixels(image: Dataset, pixels: NDArray[np.int16] | NDArray[np.uint16], bits: int) -> None:
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.Rows, image.Columns = pixels.shape
    image.BitsAllocated = 16
    image.BitsStored = bits
    image.HighBit = bits - 1
    image.PixelRepresentation = int(pixels.dtype.kind == "i")
    image.PixelData = np.ascontiguousarray(pixels).tobytes()


def _coded(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _decimal(value: float) -> str:
    """A Decimal String: at most 16 characters (PS3.5 6.2)."""
    return f"{round(float(value), 6):.10g}"
