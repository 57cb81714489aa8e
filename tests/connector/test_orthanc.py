"""No arrival is missed, whatever goes down in between, and our own results are no arrivals."""

from collections.abc import Callable

import pytest
from pydicom.uid import generate_uid

from connector.orthanc import ChangeLog
from connector.pacs import Pacs
from radiology.errors import PacsRefused, PacsUnreachable
from tests.connector.samples import ct_series, our_result, radiograph
from tests.orthanc import Orthanc


@pytest.fixture
def changes(orthanc: Orthanc) -> ChangeLog:
    return ChangeLog(orthanc.settings.pacs)


def test_each_study_that_got_images_is_named_once(orthanc: Orthanc, changes: ChangeLog) -> None:
    start = changes.end()
    slices, image = ct_series(generate_uid(), 5), radiograph(generate_uid())
    Pacs.connect(orthanc.settings.pacs).store([*slices, image])
    news = changes.since(start)
    assert news.study_uids == {slices[0].StudyInstanceUID, image.StudyInstanceUID}
    assert changes.since(news.cursor).study_uids == frozenset()


def test_a_late_image_of_a_known_series_is_news(orthanc: Orthanc, changes: ChangeLog) -> None:
    slices = ct_series(generate_uid(), 3)
    pacs = Pacs.connect(orthanc.settings.pacs)
    pacs.store(slices[:2])
    cursor = changes.end()
    pacs.store(slices)
    assert changes.since(cursor).study_uids == {slices[0].StudyInstanceUID}


def test_a_resend_and_our_own_results_are_no_news(orthanc: Orthanc, changes: ChangeLog) -> None:
    image = radiograph(generate_uid())
    pacs = Pacs.connect(orthanc.settings.pacs)
    pacs.store([image])
    cursor = changes.end()
    pacs.store([image, our_result(image.StudyInstanceUID)])
    news = changes.since(cursor)
    assert news.study_uids == frozenset()
    assert news.cursor > cursor


def test_a_deleted_study_is_passed_over(orthanc: Orthanc, changes: ChangeLog) -> None:
    cursor = changes.end()
    image, deleted = radiograph(generate_uid()), radiograph(generate_uid())
    pacs = Pacs.connect(orthanc.settings.pacs)
    pacs.store([deleted])
    orthanc.empty()
    pacs.store([image])
    assert changes.since(cursor).study_uids == {image.StudyInstanceUID}


def test_the_log_survives_a_restart_and_a_new_database_is_read_from_its_start(start_orthanc: Callable[[], Orthanc]) -> None:
    orthanc = start_orthanc()
    changes = ChangeLog(orthanc.settings.pacs)
    pacs = Pacs.connect(orthanc.settings.pacs)
    first, second = radiograph(generate_uid()), radiograph(generate_uid())
    pacs.store([first, *ct_series(generate_uid(), 20)])
    cursor = changes.end()
    orthanc.stop()
    with pytest.raises(PacsUnreachable, match="does not answer"):
        changes.since(cursor)
    orthanc.start()
    pacs.store([second])
    assert changes.since(cursor).study_uids == {second.StudyInstanceUID}
    orthanc.stop()
    orthanc.lose_everything()
    orthanc.start()
    pacs.store([first])
    assert changes.since(cursor).study_uids == {first.StudyInstanceUID}


def test_an_address_that_is_no_orthanc_is_named(orthanc: Orthanc) -> None:
    elsewhere = orthanc.settings.pacs.model_copy(update={"orthanc_url": f"{orthanc.url}/dicom-web"})
    with pytest.raises(PacsRefused, match="SIGHTLINE_PACS__ORTHANC_URL"):
        ChangeLog(elsewhere).end()
