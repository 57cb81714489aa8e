"""Taking results back: a rejection note (IHE Imaging Object Change Management), a Key Object Selection that names what to hide.

What has left for other archives cannot be deleted from here; systems that know the profile hide what a note names, and so do we.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import highdicom as hd
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.valuerep import DT

from dicom_sr import content as tree
from dicom_sr.document import person
from dicom_sr.identity import (
    MANUFACTURER,
    at_source,
    character_set,
    derive_uid,
    is_ours,
    kind_of,
    own_equipment,
    software,
    stamp,
    without_identity,
)
from dicom_sr.kinds import REJECTION
from dicom_sr.readings import rejected_uids
from dicom_sr.write import refusals
from radiology.errors import VerdictError
from radiology.judgement import Observer, Reason, Rejection
from radiology.study import Study


def reject(study: Study, instances: Sequence[Dataset], rejection: Rejection) -> Dataset:
    """Take back every result of ours that is given and not taken back yet: all versions of all readings, if all are given.

    Args:
        study: the study that they are about.
        instances: the results that the archive holds of it.
        rejection: by whom, when and why; its number does not matter, as it is about all sentences.

    Returns:
        The note, with title (113037, DCM, "Rejected for Patient Safety Reasons").

    Raises:
        VerdictError: there is nothing to take back.
    """
    gone = rejected_uids(instances)
    results = [each for each in instances if is_ours(each) and kind_of(each) is not REJECTION and str(each.SOPInstanceUID) not in gone]
    if not results:
        raise VerdictError(f"Study {study.study_uid} has no result of ours that could be rejected.")
    with refusals(study):
        return build_note(study, results, str(rejection.reason), rejection.observer, rejection.moment)


def build_note(study: Study, results: Sequence[Dataset], reason: str, observer: Observer, moment: datetime) -> Dataset:
    """Return a rejection note on these results."""
    source = next(header for series in study.series for header in series.instances)
    content = hd.ko.KeyObjectSelection(
        document_title=codes.DCM.RejectedForPatientSafetyReasons,
        referenced_objects=results,
        observer_person_context=person(observer),
        description=reason,
    )
    name = ("rejection", *sorted(str(each.SOPInstanceUID) for each in results), observer.name, moment.isoformat())
    local = at_source(moment, source)
    note: Dataset = hd.ko.KeyObjectSelectionDocument(
        evidence=[without_identity(results[0]), *results[1:]],
        content=content,
        series_instance_uid=derive_uid(*name, "series"),
        series_number=REJECTION.series_number,
        sop_instance_uid=derive_uid(*name, "instance"),
        instance_number=1,
        series_description=REJECTION.description,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=software(),
        contributing_equipment=[
            hd.ContributingEquipment(
                manufacturer=MANUFACTURER,
                purpose_of_reference=codes.DCM.ProcessingEquipment,
                manufacturer_model_name=MANUFACTURER,
                software_versions=software(),
                contribution_datetime=DT(moment),
            )
        ],
        content_qualification=hd.ContentQualificationValues.RESEARCH,
        content_date=local.date(),
        content_time=local.time(),
        specific_character_set="ISO_IR 192",
    )
    for item in note.ContentSequence:
        if "ReferencedSOPSequence" in item:
            del item.ConceptNameCodeSequence  # TID 2010 rows 8 and 10 have none
    stamp(note, source, character_set(source, [observer.name, observer.organization]))
    return note


def find_rejection(instances: Iterable[Dataset], document_uid: str) -> Rejection | None:
    """Return by whom, when and why a document was taken back; None where it was not."""
    for note in instances:
        if is_ours(note) and kind_of(note) is REJECTION and document_uid in rejected_uids([note]):
            reason = next(iter(tree.texts(note, codes.DCM.KeyObjectDescription)))
            return Rejection(0, Reason(reason), tree.observer(note), tree.moment(own_equipment(note).ContributionDateTime))
    return None
