"""Who made an object and which object it is can be told from it, and the same input makes the same objects."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import UID

import dicom_sr
from dicom_sr.identity import own_equipment
from radiology.finding import Finding
from radiology.judgement import Observer, Reason, Rejection
from radiology.report import Report
from radiology.study import Study
from radiology.verdict import Accept, Decision
from tests.dicom_sr.reports import MODEL, STARTED, report_on, segmentations
from tests.dicom_sr.sources import ct_series, projections


def to_bytes(dataset: Dataset) -> bytes:
    stream = BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def test_the_same_report_written_twice_is_the_same_bytes(objects: list[Dataset], study: Study, report: Report) -> None:
    assert [to_bytes(each) for each in dicom_sr.write(study, report)] == [to_bytes(each) for each in objects]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda report: replace(report, model=replace(MODEL, weights_hash="6f" * 32)), id="weights"),
        pytest.param(lambda report: replace(report, model=replace(MODEL, configuration="{}")), id="configuration"),
        pytest.param(lambda report: replace(report, instance_uids=report.instance_uids[1:]), id="images"),
    ],
)
def test_other_input_makes_other_objects(change: Callable[[Report], Report], objects: list[Dataset], study: Study, report: Report) -> None:
    others = dicom_sr.write(study, change(report))
    assert {each.SOPInstanceUID for each in others}.isdisjoint(each.SOPInstanceUID for each in objects)
    assert {each.SeriesInstanceUID for each in others}.isdisjoint(each.SeriesInstanceUID for each in objects)


def test_a_retry_at_another_time_makes_the_same_objects(objects: list[Dataset], study: Study, report: Report) -> None:
    later = dicom_sr.write(study, replace(report, started=STARTED.replace(year=2030)))
    assert [each.SOPInstanceUID for each in later] == [each.SOPInstanceUID for each in objects]


def test_every_uid_is_valid_and_every_object_is_a_series_of_its_own(objects: list[Dataset]) -> None:
    for dataset in objects:
        for element in dataset.iterall():
            if element.VR == "UI" and element.value:
                assert UID(element.value).is_valid, element
    assert len({each.SeriesInstanceUID for each in objects}) == len(objects) == 6


def test_weights_decide_the_device(objects: list[Dataset], study: Study, report: Report) -> None:
    def device(datasets: list[Dataset]) -> set[str]:
        return {own_equipment(each).DeviceUID for each in datasets}

    assert len(device(objects)) == 1
    assert device(dicom_sr.write(study, replace(report, model=replace(MODEL, version="9")))) == device(objects)
    assert device(dicom_sr.write(study, replace(report, model=replace(MODEL, weights_hash="0" * 64)))) != device(objects)


def test_every_object_says_that_ai_made_it_and_that_nobody_verified_it(objects: list[Dataset]) -> None:
    for dataset in objects:
        assert re.match(r"AI .*not verified, research, not for diagnosis", dataset.SeriesDescription)
        assert dataset.ContentQualification == "RESEARCH"
        assert (dataset.Manufacturer, dataset.ManufacturerModelName) == ("Sightline", MODEL.name)
        assert dataset.SoftwareVersions[0] == MODEL.version
        assert dataset.DeviceSerialNumber == MODEL.weights_hash
        assert (str(dataset.ContentDate), str(dataset.ContentTime)) == ("20260304", "150607.000089")
        assert own_equipment(dataset).PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    for document in (each for each in objects if each.Modality == "SR"):
        assert (document.CompletionFlag, document.VerificationFlag, document.PreliminaryFlag) == ("COMPLETE", "UNVERIFIED", "PRELIMINARY")
    segments = [segment for each in segmentations(objects) for segment in each.SegmentSequence]
    assert {segment.SegmentAlgorithmType for segment in segments} == {"AUTOMATIC"}


def test_our_objects_are_known_from_a_file_a_header_or_a_query_answer(objects: list[Dataset]) -> None:
    for dataset in objects:
        answer = Dataset()
        answer.Modality = dataset.Modality
        answer.Manufacturer = dataset.Manufacturer
        assert dicom_sr.is_ours(dataset)
        assert dicom_sr.is_ours(answer)
        answer.Manufacturer = "Someone Else"
        assert not dicom_sr.is_ours(answer)
    assert not any(dicom_sr.is_ours(image) for image in [*ct_series(), *projections()])


def test_times_are_in_the_studys_time_zone_where_it_names_one(report: Report) -> None:
    sources = [*ct_series(), *projections(2)]
    for image in sources:
        image.TimezoneOffsetFromUTC = "-0500"
    study = Study.from_instances(sources)
    for dataset in dicom_sr.write(study, report):
        assert (dataset.TimezoneOffsetFromUTC, str(dataset.ContentTime)) == ("-0500", "090607.000089")
    assert dicom_sr.read(dicom_sr.write(study, report), study).started == STARTED


NAMES = {
    "ISO_IR 100": "Müller^Jürgen",
    "ISO_IR 144": "Люкceмбypг",
    "\\ISO 2022 IR 87": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "GB18030": "Wang^XiaoDong=王^小东",
    "ISO_IR 192": "Wang^XiaoDong=王^小東",
}


@pytest.mark.parametrize("character_set", NAMES)
@pytest.mark.filterwarnings("ignore:Invalid value for VR DA")
def test_patient_and_study_are_taken_over_byte_for_byte(character_set: str, report: Report, tmp_path: Path) -> None:
    arrived = []
    for image in [*ct_series(), *projections(2)]:
        image.SpecificCharacterSet = character_set.split("\\")
        image.PatientName = NAMES[character_set]
        image.PatientSex = "U"
        image.StudyDate = "2024.05.06"
        arrived.append(dcmread(BytesIO(to_bytes(image))))
    study = Study.from_instances(arrived)
    name = arrived[0].get_item("PatientName").value
    for dataset in dicom_sr.write(study, report):
        stored = dcmread(BytesIO(to_bytes(dataset)))
        assert stored.get_item("PatientName").value == name
        assert stored.SpecificCharacterSet == arrived[0].SpecificCharacterSet
        assert (stored.PatientName, stored.IssuerOfPatientID, stored.PatientSex) == (NAMES[character_set], "Synthetic", "U")
        assert stored.get_item("StudyDate").value == b"2024.05.06"


@pytest.mark.parametrize("character_set", NAMES)
def test_later_versions_and_rejection_notes_take_the_patient_over_byte_for_byte(character_set: str) -> None:
    arrived = []
    for image in ct_series(2):
        image.SpecificCharacterSet = character_set.split("\\")
        image.PatientName = NAMES[character_set]
        arrived.append(dcmread(BytesIO(to_bytes(image))))
    study = Study.from_instances(arrived)
    name = arrived[0].get_item("PatientName").value
    first = [dcmread(BytesIO(to_bytes(each))) for each in dicom_sr.write(study, report_on(study, Finding("nodule", "A nodule.")))]
    reader, moment = Observer("Curie^Marie", "Institut du Radium"), STARTED.replace(year=2027)
    version = dicom_sr.current(first, study)
    assert version is not None
    second = dicom_sr.revise(study, first, Decision(version.document_uid, reader, moment, (Accept(1),), is_signed=True))
    note = dicom_sr.reject(study, first, Rejection(0, Reason.WORDING, reader, moment))
    for dataset in (*second, note):
        stored = dcmread(BytesIO(to_bytes(dataset)))
        assert stored.get_item("PatientName").value == name
        assert (stored.PatientName, stored.IssuerOfPatientID) == (NAMES[character_set], "Synthetic")


def test_words_that_the_sources_character_set_lacks_make_the_object_unicode(report: Report) -> None:
    arrived = []
    for image in [*ct_series(), *projections(2)]:
        image.PatientName = "Müller^Jürgen"
        arrived.append(dcmread(BytesIO(to_bytes(image))))
    study = Study.from_instances(arrived)
    document = dcmread(BytesIO(to_bytes(dicom_sr.write(study, replace(report, impression="Узелок справа."))[0])))
    assert document.SpecificCharacterSet == "ISO_IR 192"
    assert document.PatientName == "Müller^Jürgen"
    assert "Узелок справа." in {element.value for element in document.iterall() if element.keyword == "TextValue"}


def test_a_study_without_the_attributes_that_every_object_must_have_gets_them_empty(report: Report) -> None:
    sources = [*ct_series(), *projections(2)]
    for image in sources:
        for keyword in ("PatientID", "PatientName", "PatientSex", "AccessionNumber", "StudyTime", "ReferringPhysicianName", "StudyID"):
            delattr(image, keyword)
    study = Study.from_instances(sources)
    for dataset in dicom_sr.write(study, report):
        assert "PatientID" in dataset
        assert not dataset.PatientID
