"""The next version of a report: what a radiologist decided, as DICOM objects that follow the ones before in their series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydicom import Dataset

from dicom_sr import seg
from dicom_sr.identity import Maker, as_written, character_set, kind_of
from dicom_sr.kinds import SEGMENTATION
from dicom_sr.readings import tracking_uids
from dicom_sr.rejection import build_note
from dicom_sr.versions import Version, current
from dicom_sr.write import build_documents, check, refusals, texts
from radiology.errors import VerdictError
from radiology.image import Image
from radiology.judgement import Judgement
from radiology.measuring import measured_anew
from radiology.settings import ResultSettings
from radiology.study import Study
from radiology.verdict import Decision, judge


def revise(
    study: Study, instances: Sequence[Dataset], decision: Decision, settings: ResultSettings | None = None, images: Sequence[Image] = ()
) -> list[Dataset]:
    """Write what follows from a radiologist's decision.

    Args:
        study: the study that the report is about; headers suffice.
        instances: the results that the archive holds of it.
        decision: what was decided about the version in force.
        settings: as for ``write``.
        images: what new places are measured in; outlines suffice. What is in none of them has the measurements that it came with.

    Returns:
        What is to be stored: the documents anew, each with Instance Number + 1 in its series and the one before as predecessor;
        a Segmentation anew where its segments changed; and a rejection note on objects of which nothing is left.

    Raises:
        VerdictError: the decision is about a version that is not in force (any more), or cannot be taken: see ``judge``.
        WriteError: the report that follows from it cannot be written.
    """
    version = _decided_about(current(instances, study), decision)
    judged = judge(version.report, decision)
    report = as_written(replace(judged, findings=measured_anew(judged.findings, images)))
    check(study, report)
    source = next(header for series in study.series for header in series.instances)
    before = {part.uid: part for part in seg.sources(study, version.report.findings)}
    masks = {uid: _holder(part, version.objects) for uid, part in before.items()}
    newest = {kind_of(each).name: each for each in version.objects if kind_of(each) is not SEGMENTATION}
    newest |= {seg.name_of(uid, each): each for uid, each in masks.items()}
    maker = Maker(report, source, character_set(source, texts(report)), settings or ResultSettings(), newest=newest, decision=decision)
    parts = list(seg.sources(study, report.findings))
    changed = [part for part in parts if part.uid not in before or _said(part) != _said(before[part.uid])]
    kept = [masks[part.uid] for part in parts if part not in changed]
    free = max([SEGMENTATION.series_number - 1, *(int(each.SeriesNumber) for each in instances if kind_of(each) is SEGMENTATION)]) + 1
    with refusals(study):
        drawn = [seg.build(part, number, maker) for number, part in enumerate(changed, free)]
        made = [*build_documents(study, maker, [*drawn, *kept]), *drawn]
        followed = {str(each.SeriesInstanceUID) for each in (*made, *kept)}
        left_over = [each for each in version.objects if str(each.SeriesInstanceUID) not in followed]
        if left_over:
            made.append(build_note(study, left_over, "Nothing of it is left in the report.", decision.observer, decision.moment))
    return made


def _decided_about(version: Version | None, decision: Decision) -> Version:
    if version is None or not version.report.is_read:
        raise VerdictError("There is no report in force that could be decided about.")
    if version.document_uid != decision.document_uid:
        raise VerdictError("The report was changed meanwhile; look at it as it is now.")
    if decision.moment <= version.moment:
        raise VerdictError("The decision is older than the report; see that the clocks agree.")
    if version.verified_by and not decision.is_signed:
        raise VerdictError("The report is signed; it can only be changed with a new signature.")
    return version


def _holder(part: seg.Source, objects: Sequence[Dataset]) -> Dataset:
    """Return the Segmentation that has these places."""
    wanted = {region.tracking_uid for *_, region in part.places}
    return next(each for each in objects if kind_of(each) is SEGMENTATION and wanted <= tracking_uids(each))


def _said(part: seg.Source) -> list[object]:
    """Return all of a source's places that its Segmentation says."""
    return [
        (
            identifier,
            finding.name,
            finding.presence,
            finding.side,
            finding.sentence,
            finding.judgement if finding.judgement is not Judgement.ACCEPTED else None,
            replace(region, measurements=()),
        )
        for identifier, finding, region in part.places
    ]
