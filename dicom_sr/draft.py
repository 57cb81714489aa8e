"""SR-B, the draft report: TID 2000 Basic Diagnostic Imaging Report, readable in any viewer of reports.

    Diagnostic Imaging Report
      Findings       the sentences in their order, each inferred from its places on the images
      Impressions    the summary
      Summary        what was withheld and what could not be read

The sentences are those of the findings, word for word, and an image region stands below each that has places.
"""

from __future__ import annotations

from collections.abc import Iterator

from highdicom.sr import (
    ContentItem,
    ContentSequence,
    GraphicTypeValues,
    RelationshipTypeValues,
    ScoordContentItem,
    TextContentItem,
)
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from dicom_sr.document import CONTAINS, build, container
from dicom_sr.findings import rectangle, source_image
from dicom_sr.identity import Maker
from dicom_sr.kinds import DRAFT
from radiology.finding import Finding, Region
from radiology.report import Report
from radiology.study import Study

TITLE = Code("18748-4", "LN", "Diagnostic Imaging Report")


def build_draft(study: Study, maker: Maker) -> Dataset:
    """Return the document."""
    return build(DRAFT, TITLE, _items(study, maker.report), study, maker)


def _items(study: Study, report: Report) -> Iterator[ContentItem]:
    sentences = [_sentence(study, finding) for finding in report.findings]
    if sentences:
        yield container(codes.LN.Findings, sentences)
    if report.impression:
        yield container(codes.LN.Impressions, [TextContentItem(codes.DCM.Impression, report.impression, CONTAINS)])
    remarks = [TextContentItem(codes.DCM.Summary, sentence, CONTAINS) for sentence in (*report.withheld, *report.failures)]
    if remarks:
        yield container(codes.LN.Summary, remarks)


def _sentence(study: Study, finding: Finding) -> TextContentItem:
    item = TextContentItem(codes.DCM.Finding, finding.sentence, CONTAINS)
    if finding.regions:
        item.ContentSequence = ContentSequence([_place(study, region) for region in finding.regions])
    return item


def _place(study: Study, region: Region) -> ScoordContentItem:
    frame = study.find_series(region.series_uid).frames[region.key_slice]
    place = ScoordContentItem(
        codes.DCM.ImageRegion, GraphicTypeValues.POLYLINE, rectangle(region), relationship_type=RelationshipTypeValues.INFERRED_FROM
    )
    place.ContentSequence = ContentSequence([source_image(frame)])
    return place
