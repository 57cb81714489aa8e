"""Report to DICOM objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from pydicom import Dataset

from dicom_sr import seg
from dicom_sr.draft import build_draft
from dicom_sr.findings import build_findings
from dicom_sr.identity import Maker, as_written, character_set
from dicom_sr.kinds import SEGMENTATION
from dicom_sr.measurements import build_measurements
from dicom_sr.readings import in_force
from radiology.errors import StudyError, WriteError
from radiology.finding import Region
from radiology.image import check_box
from radiology.report import Report
from radiology.settings import ResultSettings
from radiology.study import Study
from radiology.terms import TERMS


def write(
    study: Study,
    report: Report,
    previous: Sequence[Dataset] = (),
    settings: ResultSettings | None = None,
) -> list[Dataset]:
    """Write one report as DICOM objects of the study.

    Args:
        study: the study that was read; headers suffice.
        report: what the model says. What the objects add to it (numbers, Tracking UIDs) is that of ``as_written``.
        previous: the results that the archive holds of the study. The new documents name those whose place they take.
        settings: which objects are wanted beside findings and masks, and of which class.

    Returns:
        The findings first, then draft report and measurements, then a SEG per cross-sectional series or radiograph that has a
        mask. A region with an all-empty mask is written as a box. A report on a study that could not be read is one document
        that says why. The same report gives the same bytes: see :mod:`dicom_sr.identity`.

    Raises:
        WriteError: the report does not fit the study, or cannot be said in valid DICOM; nothing is written then.
    """
    report = as_written(report)
    check(study, report)
    source = next(header for series in study.series for header in series.instances)
    maker = Maker(report, source, character_set(source, texts(report)), settings or ResultSettings())
    own = {maker.uid("findings series"), maker.uid("failure series")}
    maker = replace(maker, replaces=tuple(each for each in in_force(previous) if str(each.SeriesInstanceUID) not in own))
    with refusals(study):
        segmentations = [
            seg.build(part, number, maker) for number, part in enumerate(seg.sources(study, report.findings), SEGMENTATION.series_number)
        ]
        return [*build_documents(study, maker, segmentations), *segmentations]


def build_documents(study: Study, maker: Maker, segmentations: Sequence[Dataset]) -> list[Dataset]:
    """Return the findings, and the draft report and the measurements where they are wanted and there is something to say."""
    documents = [build_findings(study, maker)]
    if maker.report.is_read and maker.settings.draft:
        documents.append(build_draft(study, maker))
    if maker.settings.measurements:
        documents += build_measurements(study, maker, segmentations)
    return documents


@contextmanager
def refusals(study: Study) -> Iterator[None]:
    """Turn what highdicom and pydicom raise for what they refuse into ours."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WriteError(f"The report on study {study.study_uid} cannot be written as DICOM: {error}") from error


def texts(report: Report) -> list[str]:
    """Return all words of ours in a report, which its character set must hold."""
    said = [report.impression, report.model.configuration, *report.withheld, *report.failures]
    said += [text for finding in report.findings for text in (finding.sentence, *finding.flags)]
    return said + [text for each in report.decisions for text in (each.observer.name, each.observer.organization)]


def check(study: Study, report: Report) -> None:
    """Refuse what DICOM would take but nobody could read back: ``WriteError``."""
    if report.study_uid != study.study_uid:
        raise WriteError(f"The report is on study {report.study_uid}, not on {study.study_uid}.")
    if report.started.tzinfo is None:
        raise WriteError(f"The report on study {study.study_uid} does not say in which time zone it was started.")
    known = {uid for each in (study, *study.priors) for series in each.series for uid in series.instance_uids}
    if not report.instance_uids or not known.issuperset(report.instance_uids):
        raise WriteError(f"The report on study {study.study_uid} must name the images it was made from, of this study or its priors.")
    if not report.is_read and (report.findings or not report.failures):
        raise WriteError(f"The report on study {study.study_uid} says that nothing was read; it must say why, and nothing else.")
    tracking_uids = [region.tracking_uid for finding in report.findings for region in finding.regions]
    if len(set(tracking_uids)) < len(tracking_uids):
        raise WriteError(f"Two regions of the report on study {study.study_uid} have the same tracking UID.")
    if len({finding.number for finding in report.findings}) < len(report.findings):
        raise WriteError(f"Two findings of the report on study {study.study_uid} have the same number.")
    for finding in report.findings:
        if finding.name and finding.name not in TERMS:
            raise WriteError(f"'{finding.name}' is not a term; a sentence without a term has an empty name.")
        if not finding.sentence.strip():
            raise WriteError(f"A finding of the report on study {study.study_uid} has no sentence.")
        for region in finding.regions:
            _check_region(study, region)


def _check_region(study: Study, region: Region) -> None:
    try:
        check_box(study.find_series(region.series_uid), region.box)
    except StudyError as error:
        raise WriteError(f"A region points outside the study: {error}") from error
