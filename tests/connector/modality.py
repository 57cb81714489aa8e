"""A modality: it calls the listener and sends, one instance or many, bytes as they are."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE, build_context, evt
from pynetdicom.dsutils import split_dataset
from pynetdicom.sop_class import ModalityPerformedProcedureStep, Verification

from connector.association import prepare
from radiology.settings import ListenerSettings


def associate(
    settings: ListenerSettings, *kinds: tuple[str, str], calling: str = "MODALITY", called: str = "", source: str = "127.0.0.1"
) -> Any:
    """Call the listener from an address of this machine (any of 127.0.0.0/8 is)."""
    caller = AE(calling)
    contexts = [build_context(sop_class, syntax) for sop_class, syntax in kinds] or [build_context(Verification)]
    return caller.associate(
        settings.host,
        settings.port,
        contexts=contexts,
        ae_title=called or settings.ae_title,
        bind_address=(source, 0),
        evt_handlers=[(evt.EVT_CONN_OPEN, prepare)],
    )


def send(settings: ListenerSettings, instance: Dataset | Path) -> int:
    """C-STORE one instance; a file is sent as its bytes are."""
    meta = read_file_meta_info(instance) if isinstance(instance, Path) else instance.file_meta
    association = associate(settings, (meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID))
    assert association.is_established
    try:
        return int(association.send_c_store(instance).Status)
    finally:
        association.release()


def send_all(settings: ListenerSettings, instances: Sequence[Dataset]) -> list[int]:
    """C-STORE instances over one association; statuses until it ends."""
    kinds = {(each.SOPClassUID, each.file_meta.TransferSyntaxUID) for each in instances}
    association = associate(settings, *kinds)
    statuses = []
    for each in instances:
        if not association.is_established:
            break
        status = association.send_c_store(each).get("Status")
        if status is None:
            break
        statuses.append(int(status))
    association.release()
    return statuses


def data_set(path: Path) -> bytes:
    """The bytes after the file meta information."""
    return path.read_bytes()[split_dataset(path)[1] :]


@contextmanager
def step(settings: ListenerSettings) -> Iterator[Callable[[str, str, Dataset], Dataset]]:
    """Gives a function that says N-CREATE or N-SET of a procedure step and returns the answer's status and what comes with it."""
    association = associate(settings, (ModalityPerformedProcedureStep, ImplicitVRLittleEndian))
    assert association.is_established
    says = {"N-CREATE": association.send_n_create, "N-SET": association.send_n_set}
    try:
        yield lambda verb, step_uid, said: says[verb](said, ModalityPerformedProcedureStep, step_uid)[0]
    finally:
        association.release()


def scheduled(study_uid: str) -> Dataset:
    """A step on a study that begins."""
    said, planned = Dataset(), Dataset()
    planned.StudyInstanceUID = study_uid
    said.ScheduledStepAttributesSequence = [planned]
    said.PerformedProcedureStepStatus = "IN PROGRESS"
    return said


def named(state: str, sop_class: str, instance_uids: Sequence[str]) -> Dataset:
    """A step that has made a series of these, and is in this state."""
    said, series = Dataset(), Dataset()
    said.PerformedProcedureStepStatus = state
    series.ReferencedImageSequence = []
    for instance_uid in instance_uids:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance_uid
        series.ReferencedImageSequence.append(item)
    said.PerformedSeriesSequence = [series]
    return said
