"""Headers that were fetched lately are fetched again when, and only when, the images or their patient have changed."""

import pytest

from connector.pacs import Pacs
from connector.recent import RecentStudies
from radiology.errors import IncompleteStudy
from tests.connector.samples import ct_series, our_result, radiograph
from tests.orthanc import Orthanc


def test_a_study_is_fetched_again_when_its_images_or_its_patient_changed(orthanc: Orthanc) -> None:
    pacs = Pacs.connect(orthanc.settings.pacs)
    recent = RecentStudies(pacs, size=1)
    images = ct_series("1.2.7")
    pacs.store(images[:2])
    first = recent.fetch("1.2.7")
    pacs.store([our_result("1.2.7")])
    assert recent.fetch("1.2.7") is first, "results of ours change nothing"
    pacs.store(images)
    second = recent.fetch("1.2.7")
    assert [len(series.instances) for series in second.series] == [3]
    film = radiograph("1.2.7")
    pacs.store([film])
    assert len(recent.fetch("1.2.7").series) == 2
    orthanc.empty()
    for image in (*images, film):
        image.PatientName = "Corrected"
    pacs.store([*images, film])
    assert {str(each.PatientName) for series in recent.fetch("1.2.7").series for each in series.instances} == {"Corrected"}


def test_only_so_many_are_kept_and_what_is_gone_is_said(orthanc: Orthanc) -> None:
    pacs = Pacs.connect(orthanc.settings.pacs)
    recent = RecentStudies(pacs, size=1)
    pacs.store([radiograph("1.2.7"), radiograph("1.2.8")])
    first = recent.fetch("1.2.7")
    assert recent.fetch("1.2.7") is first
    recent.fetch("1.2.8")
    assert recent.fetch("1.2.7") is not first
    orthanc.empty()
    with pytest.raises(IncompleteStudy):
        recent.fetch("1.2.7")
