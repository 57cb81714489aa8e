"""One small tree of errors, split by who must act.

    SightlineError
      StudyError        the study itself; retrying will not help
        IncompleteStudy
        UnsupportedImage
      PacsError         the network or the archive; try later
        PacsUnreachable
        PacsRefused
          PacsFull
          SopClassRefused
      EngineError       the model
        UnreadableAnswer
        OutOfMemory
      VerdictError      a radiologist's decision cannot be taken as it is; look at the report again
        DecidedMeanwhile  somebody else was first
      WriteError        we built a bad DICOM object: our bug
      LedgerError       our own record of jobs: disk full, database away
        UnknownStudy
        IllegalTransition  a step that a job may not take
      QueueError        the broker is away
      RulesError        the file of rules cannot be used; correct the line that it names
      BackupError       a backup that cannot be made, or cannot be brought back

Every message is one sentence that says what is wrong and what to do, and names nothing of the patient but UIDs.
"""

from datetime import datetime

from radiology.judgement import Observer


class SightlineError(Exception):
    """Anything that Sightline reports about its own work."""


class StudyError(SightlineError):
    """The study cannot be read as it is; a retry will not help."""


class IncompleteStudy(StudyError):
    """Instances that the archive announced are missing, or nothing in the study has pixels."""


class UnsupportedImage(StudyError):
    """An image of a kind, geometry or encoding that the model does not read."""


class PacsError(SightlineError):
    """The archive or the network to it; the job is tried again."""


class PacsUnreachable(PacsError):
    """No answer from the archive."""


class PacsRefused(PacsError):
    """The archive answered, and said no."""


class PacsFull(PacsRefused):
    """The archive has no room, or does not have what it said it stored; nothing is wrong with what was sent."""


class SopClassRefused(PacsRefused):
    """The archive does not take objects of a SOP class; others it may."""


class EngineError(SightlineError):
    """The model failed."""


class UnreadableAnswer(EngineError):
    """The model's text is not an answer in the agreed form; ``raw_text`` keeps it for the administrator."""

    def __init__(self, message: str, raw_text: str) -> None:
        super().__init__(message)
        self.raw_text = raw_text


class OutOfMemory(EngineError):
    """The device has too little memory for this study."""


class VerdictError(SightlineError):
    """A decision on a report that is not in force any more, or on a sentence that it does not have."""


class DecidedMeanwhile(VerdictError):
    """Somebody else has changed the report meanwhile.

    ``document_uid`` are the findings in force now, None where they were taken back; ``observer`` and ``moment`` say by whom and
    when, None where it is not known or the model has read the study again.
    """

    def __init__(self, message: str, document_uid: str | None, observer: Observer | None, moment: datetime | None) -> None:
        super().__init__(message)
        self.document_uid = document_uid
        self.observer = observer
        self.moment = moment


class WriteError(SightlineError):
    """A result that cannot be written as a valid DICOM object."""


class LedgerError(SightlineError):
    """The ledger of jobs cannot be read or written, or refuses what was asked of it."""


class UnknownStudy(LedgerError):
    """The ledger has no job for a study."""


class IllegalTransition(LedgerError):
    """A job may not go from its state to that one, or another worker holds it now."""


class QueueError(SightlineError):
    """A message could not be given to the broker; the ledger keeps the job, and it is sent again."""


class RulesError(SightlineError):
    """The file of rules cannot be used; the message names the lines."""


class BackupError(SightlineError):
    """A backup that cannot be made or brought back as things stand; nothing that was there is changed."""
