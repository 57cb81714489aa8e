"""Small synthetic source images of every kind that results are written for, as complete as a modality sends them.

``SOURCES`` names the kinds: each makes the instances of one series, in slice order where it has several.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import cos, radians, sin

import numpy as np
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
)
from scipy.spatial.transform import Rotation

STUDY_UID = "2.25.1000"
CT_SERIES_UID = "2.25.2000"
PROJECTION_SERIES_UID = "2.25.3000"
MR_SERIES_UID = "2.25.4000"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def _item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


_CHEST = _item(CodeValue="51185008", CodingSchemeDesignator="SCT", CodeMeaning="Chest")


def ct_series(
    slices: int = 4,
    rows: int = 32,
    columns: int = 40,
    spacing_mm: tuple[float, float, float] = (2.5, 0.7, 0.7),
    orientation: Sequence[float] = AXIAL,
    series_uid: str = CT_SERIES_UID,
    direction: Sequence[float] | None = None,
) -> list[FileDataset]:
    """Return a CT series in slice order.

    ``spacing_mm``: slice, row and column; ``orientation`` as in (0020,0037); ``direction``: unit vector from slice to slice
    where it is not the slices' normal (a tilted gantry).
    """
    instances = [_image(CTImageStorage, series_uid, index, rows, columns) for index in range(slices)]
    for index, image in enumerate(instances):
        _place(image, index, spacing_mm, orientation, direction)
        image.Modality = "CT"
        image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        image.PatientPosition = "HFS"
        image.KVP = 120
        image.AcquisitionNumber = 1
        image.RescaleIntercept = -1024
        image.RescaleSlope = 1
        image.RescaleType = "HU"
    return instances


def mr_series(slices: int = 4, rows: int = 32, columns: int = 40, series_uid: str = MR_SERIES_UID) -> list[FileDataset]:
    """Return a sagittal MR series in slice order."""
    instances = [_image(MRImageStorage, series_uid, index, rows, columns) for index in range(slices)]
    for index, image in enumerate(instances):
        _place(image, index, (3.0, 0.9, 0.6), (0.0, 1.0, 0.0, 0.0, 0.0, -1.0))
        image.Modality = "MR"
        image.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
        image.PatientPosition = "HFS"
        image.AcquisitionNumber = 1
        image.ScanningSequence = "SE"
        image.SequenceVariant = "NONE"
        image.ScanOptions = ""
        image.MRAcquisitionType = "2D"
        image.EchoTime = 10
        image.RepetitionTime = 500
        image.EchoTrainLength = 1
    return instances


def enhanced(slices: Sequence[FileDataset], order: Sequence[int]) -> list[FileDataset]:
    """Return a CT or MR series as one multi-frame instance whose frames stand in this order."""
    first = slices[0]
    kind = str(first.Modality)
    image = _image(
        EnhancedCTImageStorage if kind == "CT" else EnhancedMRImageStorage, str(first.SeriesInstanceUID), 0, first.Rows, first.Columns
    )
    for keyword in ("Modality", "FrameOfReferenceUID", "PositionReferenceIndicator", "PatientPosition"):
        image[keyword] = first[keyword]
    image.ImageType = ["DERIVED", "PRIMARY", "VOLUME" if kind == "CT" else "T1", "NONE"]
    image.DeviceSerialNumber = "1"
    image.SoftwareVersions = "1"
    image.AcquisitionContextSequence = []
    image.BurnedInAnnotation = "NO"
    image.LossyImageCompression = "00"
    image.PresentationLUTShape = "IDENTITY"
    image.ContentQualification = "RESEARCH"
    if kind == "MR":
        image.ApplicableSafetyStandardAgency = "IEC"
    image.BitsStored, image.HighBit = 16, 15
    image.PixelData = b"".join(slices[index].PixelData for index in order)
    image.NumberOfFrames = len(order)
    appearance = {"PixelPresentation": "MONOCHROME", "VolumetricProperties": "VOLUME", "VolumeBasedCalculationTechnique": "NONE"}
    if kind == "MR":
        appearance |= {"ComplexImageComponent": "MAGNITUDE", "AcquisitionContrast": "UNKNOWN"}
    for keyword, value in appearance.items():
        setattr(image, keyword, value)
    organization = f"{first.SeriesInstanceUID}.8"
    image.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=organization)]
    image.DimensionIndexSequence = [
        _item(
            DimensionOrganizationUID=organization,
            DimensionIndexPointer=tag_for_keyword(keyword),
            FunctionalGroupPointer=tag_for_keyword("FrameContentSequence"),
        )
        for keyword in ("StackID", "InStackPositionNumber")
    ]
    shared = _item(
        PixelMeasuresSequence=[_item(PixelSpacing=first.PixelSpacing, SliceThickness=first.SliceThickness)],
        PlaneOrientationSequence=[_item(ImageOrientationPatient=first.ImageOrientationPatient)],
        FrameAnatomySequence=[_item(FrameLaterality="U", AnatomicRegionSequence=[_CHEST])],
        PixelValueTransformationSequence=[
            _item(RescaleIntercept=first.get("RescaleIntercept", 0), RescaleSlope=1, RescaleType="HU" if kind == "CT" else "US")
        ],
    )
    if kind == "CT":
        shared.IrradiationEventIdentificationSequence = [_item(IrradiationEventUID=f"{first.SeriesInstanceUID}.7")]
    setattr(shared, f"{kind}ImageFrameTypeSequence", [_item(FrameType=image.ImageType, **appearance)])
    image.SharedFunctionalGroupsSequence = [shared]
    image.PerFrameFunctionalGroupsSequence = [
        _item(
            FrameContentSequence=[_item(StackID="1", InStackPositionNumber=index + 1, DimensionIndexValues=[1, index + 1])],
            PlanePositionSequence=[_item(ImagePositionPatient=slices[index].ImagePositionPatient)],
        )
        for index in order
    ]
    return [image]


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
            image.AcquisitionContextSequence = []
            image.AnatomicRegionSequence = [_CHEST]
            image.ImageLaterality = "U"
            image.BurnedInAnnotation = "NO"
            image.DetectorType = ""
            image.PositionerType = ""
            image.LossyImageCompression = "00"
            image.PixelIntensityRelationship = "LOG"
            image.PixelIntensityRelationshipSign = -1
            image.PresentationLUTShape = "IDENTITY"
            image.RescaleIntercept, image.RescaleSlope, image.RescaleType = 0, 1, "US"
            image.WindowCenter, image.WindowWidth = 2048, 4096
            image.ViewCodeSequence = [_item(CodeValue="399348003", CodingSchemeDesignator="SCT", CodeMeaning="postero-anterior")]
            image.ViewCodeSequence[0].ViewModifierCodeSequence = []
        instances.append(image)
    return instances


def with_frames(image: FileDataset, count: int) -> list[FileDataset]:
    """Return a radiograph with several frames, each brighter than the one before; its SOP class does not allow them."""
    pixels = np.frombuffer(image.PixelData, "<u2")
    image.NumberOfFrames = count
    image.PixelData = b"".join((pixels + index).astype("<u2").tobytes() for index in range(count))
    return [image]


def captured(image: FileDataset, count: int) -> list[FileDataset]:
    """Return a radiograph with several frames as Multi-frame Grayscale Word Secondary Capture, the class that allows them."""
    with_frames(image, count)
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    image.ConversionType = "DI"
    image.ImageType = ["ORIGINAL", "PRIMARY"]
    image.BurnedInAnnotation = "NO"
    image.PresentationLUTShape = "IDENTITY"
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = 0, 1, "US"
    image.FrameIncrementPointer = tag_for_keyword("PageNumberVector")
    image.PageNumberVector = list(range(1, count + 1))
    image.PixelSpacing = image.ImagerPixelSpacing
    del image.ImagerPixelSpacing, image.ViewPosition
    return [image]


def without(instances: Sequence[FileDataset], *keywords: str) -> list[FileDataset]:
    """Return the instances without these attributes."""
    for image in instances:
        for keyword in keywords:
            delattr(image, keyword)
    return list(instances)


def lossy(instances: Sequence[FileDataset]) -> list[FileDataset]:
    """Return the instances marked as once compressed with loss (PS3.3 C.7.6.1.1.5)."""
    for image in instances:
        image.LossyImageCompression = "01"
        image.LossyImageCompressionRatio = 12.5
        image.LossyImageCompressionMethod = "ISO_10918_1"
    return list(instances)


_OBLIQUE = Rotation.from_euler("xyz", [20, -35, 10], degrees=True).as_matrix()
_TILT = radians(17)

SOURCES: dict[str, Callable[[], list[FileDataset]]] = {
    "CT": ct_series,
    "CT, pixels not square": lambda: ct_series(5, 32, 40, (3.0, 0.5, 0.9)),
    "CT, oblique": lambda: ct_series(5, 32, 40, (3.0, 0.5, 0.9), [*_OBLIQUE[:, 0], *_OBLIQUE[:, 1]]),
    "CT, tilted gantry": lambda: ct_series(
        5, 32, 40, (4.0, 0.6, 0.6), (1.0, 0.0, 0.0, 0.0, cos(_TILT), -sin(_TILT)), direction=(0.0, 0.0, 1.0)
    ),
    "CT, one slice": lambda: ct_series(1),
    "CT, bits that do not align": lambda: ct_series(5, 21, 22),
    "CT, without frame of reference or thickness": lambda: without(ct_series(), "FrameOfReferenceUID", "SliceThickness"),
    "CT, once compressed with loss": lambda: lossy(ct_series()),
    "CT, multi-frame": lambda: enhanced(ct_series(5), (3, 0, 4, 1, 2)),
    "CT, multi-frame, one frame": lambda: enhanced(ct_series(1), (0,)),
    "MR": mr_series,
    "MR, multi-frame": lambda: enhanced(mr_series(5), (4, 3, 2, 1, 0)),
    "CR": lambda: projections(2, 32, 40),
    "CR, bits that do not align": lambda: projections(1, 30, 21),
    "CR, once compressed with loss": lambda: lossy(projections(1, 32, 40)),
    "DX": lambda: projections(1, 32, 40, "DX"),
    "DX, bits that do not align": lambda: projections(1, 21, 33, "DX"),
    "CR, several frames": lambda: captured(projections(1, 32, 40)[0], 3),
}
"""Kinds of source images; each call makes the instances of one series anew."""


def _place(
    image: FileDataset,
    index: int,
    spacing_mm: tuple[float, float, float],
    orientation: Sequence[float],
    direction: Sequence[float] | None = None,
) -> None:
    """Give slice ``index`` of a cross-sectional series its place."""
    step = np.asarray(np.cross(orientation[:3], orientation[3:]) if direction is None else direction, float)
    position = np.asarray([-50.0, -60.0, 100.0]) + step * spacing_mm[0] * index
    image.FrameOfReferenceUID = f"{image.SeriesInstanceUID}.9"
    image.PositionReferenceIndicator = ""
    image.ImageOrientationPatient = [round(value, 10) for value in orientation]
    image.ImagePositionPatient = [round(float(value), 6) for value in position]
    image.PixelSpacing = list(spacing_mm[1:])
    image.SliceThickness = spacing_mm[0]


def _image(sop_class: UID, series_uid: str, index: int, rows: int, columns: int) -> FileDataset:
    sop_instance_uid = UID(f"{series_uid}.1.{index + 1}")
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
