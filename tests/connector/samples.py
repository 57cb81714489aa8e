"""Small made-up studies to send."""

from collections.abc import Iterator

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

CT_IMAGE = UID("1.2.840.10008.5.1.4.1.1.2")
CR_IMAGE = UID("1.2.840.10008.5.1.4.1.1.1")
SEGMENTATION = UID("1.2.840.10008.5.1.4.1.1.66.4")
US_IMAGE = UID("1.2.840.10008.5.1.4.1.1.6.1")


def instance(sop_class: UID, study_uid: str, series_uid: str, modality: str, number: int = 1) -> Dataset:
    """One 8 x 8 image."""
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID, made.SOPInstanceUID = sop_class, generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID = study_uid, series_uid
    made.Modality, made.BodyPartExamined, made.InstanceNumber = modality, "CHEST", number
    made.PatientName, made.PatientID, made.PatientSex, made.PatientBirthDate = "Čáp^Ňo", "C4N4RY", "O", ""
    made.StudyDate, made.StudyTime, made.StudyID, made.AccessionNumber, made.ReferringPhysicianName = "20260102", "030405", "1", "", ""
    made.SeriesNumber = 1
    made.Manufacturer = "Tests"
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 8, 8, 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
    made.PixelData = np.full((8, 8), number, np.uint16).tobytes()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID, made.file_meta.MediaStorageSOPInstanceUID = sop_class, made.SOPInstanceUID
    return made


def ct_series(study_uid: str, count: int = 3) -> list[Dataset]:
    """A CT series of the chest."""
    series_uid, frame_uid = generate_uid(), generate_uid()
    slices = [instance(CT_IMAGE, study_uid, series_uid, "CT", number) for number in range(1, count + 1)]
    for index, each in enumerate(slices):
        each.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        each.FrameOfReferenceUID = frame_uid
        each.PixelSpacing, each.SliceThickness = [0.5, 0.5], 2.5
        each.ImageOrientationPatient, each.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-10, -20, 2.5 * index]
        each.RescaleSlope, each.RescaleIntercept = 1, -1024
    return slices


def radiograph(study_uid: str) -> Dataset:
    """A CR image of the chest."""
    made = instance(CR_IMAGE, study_uid, generate_uid(), "CR")
    made.ViewPosition = "PA"
    return made


def ultrasound(study_uid: str) -> Dataset:
    """An image of a modality that is not read."""
    return instance(US_IMAGE, study_uid, generate_uid(), "US")


def our_result(study_uid: str) -> Dataset:
    """What the archive takes for one of Sightline's own segmentations."""
    made = instance(SEGMENTATION, study_uid, generate_uid(), "SEG")
    made.Manufacturer = "Sightline"
    return made


def strings_of_the_patient() -> Iterator[str]:
    """What must never turn up in a log."""
    yield from ("Čáp", "Ňo", "C4N4RY")
