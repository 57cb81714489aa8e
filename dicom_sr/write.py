"""Report to DICOM objects."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom import Dataset

from dicom_sr import seg, sr
from dicom_sr.identity import Maker, with_tracking_uids
from radiology.errors import StudyError, WriteError
from radiology.finding import Region
from radiology.image import VOLUME_MODALITIES
from radiology.report import Report
from radiology.study import Study
from radiology.terms import TERMS


def write(study: Study, report: Report, revision: int = 0) -> list[Dataset]:
    """Write one report as DICOM objects of the study: a Structured Report and the Segmentations of its masks.

    Args:
        study: the study that was read; headers suffice.
        report: what the model says. A region without a Tracking UID gets one (``with_tracking_uids``).
        revision: 0 for the first report on a study, then 1, 2, ...

    Returns:
        The SR first, then a SEG per cross-sectional series or radiograph that has a mask. A region with an all-empty mask is
        written as a box. The same report gives the same bytes: see :mod:`dicom_sr.identity`.

    Raises:
        WriteError: the report does not fit the study, or cannot be said in valid DICOM; nothing is written then.
    """
    report = with_tracking_uids(report)
    _check(study, report)
    source = next(header for series in study.series for header in series.instances)
    maker = Maker(report, revision, source, _character_set(source, report))
    try:
        objects = [sr.build(study, maker)]
        objects += [
            seg.build(part, number, maker) for number, part in enumerate(seg.sources(study, report.findings), seg.FIRST_SERIES_NUMBER)
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # what highdicom and pydicom raise for what they refuse
        raise WriteError(f"The report on study {study.study_uid} cannot be written as DICOM: {error}") from error
    return objects


def _check(study: Study, report: Report) -> None:
    """Refuse what DICOM would take but nobody could read back."""
    if report.study_uid != study.study_uid:
        raise WriteError(f"The report is on study {report.study_uid}, not on {study.study_uid}.")
    if report.started.tzinfo is None:
        raise WriteError(f"The report on study {study.study_uid} does not say in which time zone it was started.")
    known = {uid for series in study.series for uid in series.instance_uids}
    if not report.instance_uids or not known.issuperset(report.instance_uids):
        raise WriteError(f"The report on study {study.study_uid} must name the images it was made from, all of this study.")
    tracking_uids = [region.tracking_uid for finding in report.findings for region in finding.regions]
    if len(set(tracking_uids)) < len(tracking_uids):
        raise WriteError(f"Two regions of the report on study {study.study_uid} have the same tracking UID.")
    for finding in report.findings:
        if finding.name and finding.name not in TERMS:
            raise WriteError(f"'{finding.name}' is not a term; a sentence without a term has an empty name.")
        if not finding.sentence.strip():
            raise WriteError(f"A finding of the report on study {study.study_uid} has no sentence.")
        for region in finding.regions:
            _check_region(study, region)


def _check_region(study: Study, region: Region) -> None:
    try:
        series = study.find_series(region.series_uid)
    except StudyError as error:
        raise WriteError(f"A region points outside the study: {error}") from error
    size = (len(series.instances), int(series.instances[0].Rows), int(series.instances[0].Columns))
    if any(stop > length for stop, length in zip(region.box.stop, size, strict=True)):
        raise WriteError(f"A box ends at {region.box.stop}, outside series {series.series_uid} of {size} slices, rows and columns.")
    if series.modality not in VOLUME_MODALITIES and region.box.shape[0] > 1:
        raise WriteError(f"A box spans several radiographs of series {series.series_uid}; each needs its own.")


def _character_set(source: Dataset, report: Report) -> str | list[str]:
    """Return the source's Specific Character Set, so that its names keep their bytes, unless our words need Unicode."""
    declared: str | Sequence[str] | None = source.get("SpecificCharacterSet")
    texts = [report.impression, report.model.configuration, *report.withheld]
    texts += [text for finding in report.findings for text in (finding.sentence, *finding.flags)]
    if not declared or not all(text.isascii() for text in texts):
        return "ISO_IR 192"
    return declared if isinstance(declared, str) else [str(value) for value in declared]
