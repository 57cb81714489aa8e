"""Which objects belong together: readings, their versions, and what has taken whose place.

A reading is all that one model made of one set of images, and every later version of it. A version is a document of findings (or
of a failure) with the other objects that were the newest of their series when it was written. What a rejection note names is
rejected; what another document names as its predecessor is replaced.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from pydicom import Dataset

from dicom_sr.content import moment
from dicom_sr.identity import is_ours, kind_of, own_equipment, reading_of
from dicom_sr.kinds import FAILURE, FINDINGS, REJECTION, SEGMENTATION

DAMAGE = (AttributeError, IndexError, KeyError, RuntimeError, StopIteration, TypeError, ValueError)
"""What is raised where an object lacks something or has something else in its place, by highdicom too."""


@dataclass(frozen=True)
class Edition:
    """One version of one reading: its findings or failure, among all the objects of the reading."""

    document: Dataset
    reading: Sequence[Dataset]

    @cached_property
    def others(self) -> tuple[Dataset, ...]:
        """The other objects that go with the document: the newest of their series when it was written."""
        # Objects of one version share the moment of their content; what a version left as it was is older.
        newest: dict[str, Dataset] = {}
        for each in self.reading:
            series = str(each.SeriesInstanceUID)
            if kind_of(each) in (FAILURE, FINDINGS) or _written(each) > _written(self.document):
                continue
            if series not in newest or int(each.InstanceNumber) > int(newest[series].InstanceNumber):
                newest[series] = each
        uids = tracking_uids(self.document)
        return tuple(each for each in newest.values() if kind_of(each) is not SEGMENTATION or not uids.isdisjoint(tracking_uids(each)))

    @property
    def objects(self) -> tuple[Dataset, ...]:
        """All of them, the document first."""
        return self.document, *self.others


def editions(instances: Iterable[Dataset]) -> list[Edition]:
    """Return every version of every reading of ours, oldest reading first, each from its first version to its newest.

    What somebody has altered so that it is not sound belongs to no reading.
    """
    readings: dict[tuple[str, str], list[Dataset]] = defaultdict(list)
    for instance in instances:
        if is_ours(instance) and is_sound(instance) and kind_of(instance) is not REJECTION:
            readings[reading_of(instance)].append(instance)
    ordered = sorted(readings.values(), key=lambda objects: moment(own_equipment(objects[0]).ContributionDateTime))
    return [
        Edition(document, objects)
        for objects in ordered
        for document in sorted(
            (each for each in objects if kind_of(each) in (FAILURE, FINDINGS)),
            key=lambda each: (kind_of(each) is FINDINGS, int(each.InstanceNumber)),
        )
    ]


def is_sound(instance: Dataset) -> bool:
    """Whether one of our objects has all that says where it belongs; one that somebody has altered may not."""
    try:
        replaced_uids([instance])
        if kind_of(instance) is REJECTION:
            return bool(rejected_uids([instance]))
        if kind_of(instance) is SEGMENTATION:
            tracking_uids(instance)
        moment(own_equipment(instance).ContributionDateTime)
        int(instance.InstanceNumber)
        return all((*reading_of(instance), *_written(instance), instance.SeriesInstanceUID, instance.SOPInstanceUID))
    except DAMAGE:
        return False


def _written(instance: Dataset) -> tuple[str, str]:
    return str(instance.ContentDate), str(instance.ContentTime)


def tracking_uids(instance: Dataset) -> set[str]:
    """Return the Tracking UIDs in a document's groups or of a Segmentation's segments."""
    if kind_of(instance) is SEGMENTATION:
        return {str(segment.TrackingUID) for segment in instance.SegmentSequence if "TrackingUID" in segment}
    return {str(element.value) for element in instance.iterall() if element.keyword == "UID"}


def rejected_uids(instances: Iterable[Dataset]) -> set[str]:
    """Return the SOP Instance UIDs that rejection notes of ours name."""
    return {
        str(reference.ReferencedSOPInstanceUID)
        for note in instances
        if is_ours(note) and kind_of(note) is REJECTION
        for reference in references(note.get("CurrentRequestedProcedureEvidenceSequence", ()))
    }


def replaced_uids(instances: Iterable[Dataset]) -> set[str]:
    """Return the SOP Instance UIDs that other documents of ours name as their predecessors, whatever has become of those."""
    return {
        str(reference.ReferencedSOPInstanceUID)
        for instance in instances
        if is_ours(instance)
        for reference in references(instance.get("PredecessorDocumentsSequence", ()))
    }


def references(items: Iterable[Dataset]) -> Iterator[Dataset]:
    """Yield what a sequence of hierarchical references names (PS3.3 C.17.2.1)."""
    for study in items:
        for series in study.ReferencedSeriesSequence:
            yield from series.ReferencedSOPSequence


def in_force(instances: Sequence[Dataset]) -> list[Dataset]:
    """Return the objects that are neither rejected nor replaced; those that are not sound are passed over."""
    instances = [each for each in instances if is_ours(each) and is_sound(each)]
    gone = rejected_uids(instances) | replaced_uids(instances)
    found = [
        each
        for edition in editions(instances)
        if str(edition.document.SOPInstanceUID) not in gone
        for each in edition.objects
        if str(each.SOPInstanceUID) not in gone
    ]
    return list({str(each.SOPInstanceUID): each for each in found}.values())
