"""What the listener takes of performed procedure steps (PS3.4 F.7): a modality says when it begins to acquire, when it has ended, and
what it has made.

UIDs and a state are kept (:mod:`connector.steps`), before the modality is answered; nothing else of what it says.
"""

from __future__ import annotations

import structlog
from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.sop_class import ModalityPerformedProcedureStep

from connector.service import PROCESSING_FAILURE, SUCCESS, answered
from connector.spool import is_uid
from connector.steps import Steps, StepState

_INVALID_VALUE, _DUPLICATE, _NO_SUCH_STEP, _INVALID_STEP, _MISSING, _MISSING_VALUE = 0x0106, 0x0111, 0x0112, 0x0117, 0x0120, 0x0121
_OVER = 0xA710
"""Error ID of a step that may no longer be updated (PS3.4 Table F.7.2-2)."""

_log = structlog.get_logger()


class StepService:
    """The service by which the listener takes what modalities say of their steps."""

    sop_class = ModalityPerformedProcedureStep
    roles = (True, False)

    def __init__(self, known: Steps) -> None:
        self._steps = known

    @property
    def handlers(self) -> list[evt.EventHandlerType]:
        """What is called for N-CREATE and N-SET."""
        return [(evt.EVT_N_CREATE, answered(self._create)), (evt.EVT_N_SET, answered(self._set))]

    def _create(self, event: evt.Event) -> int | Dataset:
        """Begin a step (PS3.4 F.7.2.1); what is asked of it beside a UID is its state and its studies."""
        step_uid, said = str(event.request.AffectedSOPInstanceUID or ""), event.attribute_list
        if not is_uid(step_uid):
            return _failure(_INVALID_STEP, "Affected SOP Instance UID is none")
        for keyword in ("PerformedProcedureStepStatus", "ScheduledStepAttributesSequence"):
            if keyword not in said:
                return _failure(_MISSING, keyword)
        if said.PerformedProcedureStepStatus != StepState.IN_PROGRESS:
            return _failure(_INVALID_VALUE, "A step begins IN PROGRESS")
        scheduled = said.ScheduledStepAttributesSequence or []
        if not all("StudyInstanceUID" in item for item in scheduled):
            return _failure(_MISSING, "StudyInstanceUID")
        study_uids = {str(item.StudyInstanceUID) for item in scheduled}
        if not study_uids or "" in study_uids:
            return _failure(_MISSING_VALUE, "StudyInstanceUID")
        if not all(map(is_uid, study_uids)):
            return _failure(_INVALID_VALUE, "StudyInstanceUID")
        calling_ae = event.assoc.requestor.ae_title
        if not self._steps.begin(step_uid, study_uids, calling_ae):
            return _failure(_DUPLICATE, "There is a step of that UID")
        for study_uid in study_uids:
            _log.info("acquisition begun", study_uid=study_uid, step_uid=step_uid, calling_ae=calling_ae)
        return SUCCESS

    def _set(self, event: evt.Event) -> int | Dataset:
        """Bring a step up to date (PS3.4 F.7.2.2)."""
        step_uid, said = str(event.request.RequestedSOPInstanceUID), event.modification_list
        state = said.get("PerformedProcedureStepStatus", StepState.IN_PROGRESS)
        if state not in list(StepState):
            return _failure(_INVALID_VALUE, "PerformedProcedureStepStatus")
        instance_uids = _made(said)
        if instance_uids is not None and not all(map(is_uid, instance_uids)):
            return _failure(_INVALID_VALUE, "ReferencedSOPInstanceUID")
        before = self._steps.change(step_uid, StepState(state), instance_uids)
        if before is None:
            return _failure(_NO_SUCH_STEP, "There is no step of that UID")
        if before is not StepState.IN_PROGRESS:
            return _failure(PROCESSING_FAILURE, "Performed Procedure Step Object may no longer be updated", _OVER)
        _log.info("acquisition " + ("goes on" if state == StepState.IN_PROGRESS else state.lower()), step_uid=step_uid)
        return SUCCESS


def _made(said: Dataset) -> set[str] | None:
    """SOP Instance UIDs that the Performed Series Sequence names, images and others; None where it is not there."""
    if "PerformedSeriesSequence" not in said:
        return None
    return {
        str(item.get("ReferencedSOPInstanceUID", ""))
        for series in said.PerformedSeriesSequence or ()
        for kind in ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence")
        for item in series.get(kind) or ()
    }


def _failure(status: int, comment: str, error_id: int | None = None) -> Dataset:
    answer = Dataset()
    answer.Status, answer.ErrorComment = status, comment
    if error_id is not None:
        answer.ErrorID = error_id
    return answer
