"""Only images that the model reads are chosen, and whatever is left out is named with the reason."""

from pydicom.uid import SecondaryCaptureImageStorage, UltrasoundImageStorage, generate_uid

from connector.routing import route
from radiology.settings import WatcherSettings
from radiology.study import Study
from tests.connector.samples import ct_series, instance, radiograph, ultrasound

SETTINGS = WatcherSettings()


def test_a_chest_ct_is_read_whole() -> None:
    chosen = route(Study.from_instances(ct_series(generate_uid(), 3)), SETTINGS)
    assert chosen.study is not None
    assert chosen.description == "CT CHEST, 3 images"
    assert chosen.reason == "Every series is read."


def test_an_unknown_modality_is_refused_by_name() -> None:
    chosen = route(Study.from_instances([ultrasound(generate_uid())]), SETTINGS)
    assert chosen.study is None
    assert "modality US is none of CR, DX, CT" in chosen.reason


def test_another_body_part_is_refused_and_a_missing_one_is_not() -> None:
    knee, silent = radiograph(generate_uid()), radiograph(generate_uid())
    knee.BodyPartExamined = "KNEE"
    del silent.BodyPartExamined
    refused = route(Study.from_instances([knee]), SETTINGS)
    assert refused.study is None
    assert "body part KNEE" in refused.reason
    assert route(Study.from_instances([silent]), SETTINGS).study is not None


def test_of_a_mixed_study_only_the_readable_series_are_chosen() -> None:
    study_uid = generate_uid()
    image = radiograph(study_uid)
    chosen = route(Study.from_instances([image, ultrasound(study_uid), *ct_series(study_uid, 2)]), SETTINGS)
    assert chosen.study is not None
    assert sorted(series.modality for series in chosen.study.series) == ["CR", "CT"]
    assert chosen.description == "CR CHEST, 1 image; CT CHEST, 2 images"
    assert "modality US" in chosen.reason


def test_localizers_and_captured_screens_are_left_out() -> None:
    study_uid = generate_uid()
    slices = ct_series(study_uid, 3)
    slices[0].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    dose = instance(SecondaryCaptureImageStorage, study_uid, generate_uid(), "CT")
    chosen = route(Study.from_instances([*slices, dose]), SETTINGS)
    assert chosen.study is not None
    assert [series.instance_uids for series in chosen.study.series] == [tuple(each.SOPInstanceUID for each in slices[1:])]
    assert "localizer or captured screen (2 series)" in chosen.reason


def test_a_study_of_objects_that_are_no_images_is_refused() -> None:
    document = instance(UltrasoundImageStorage, generate_uid(), generate_uid(), "")
    chosen = route(Study.from_instances([document]), SETTINGS)
    assert chosen.study is None
    assert "modality missing" in chosen.reason
