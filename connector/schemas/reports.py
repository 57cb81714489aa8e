"""The report of a study, as the HTTP API says it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from connector.schemas.person import Person
from dicom_sr import State, Version
from radiology.finding import Finding, Presence, Region, Side
from radiology.jobs import JobState, Progress
from radiology.judgement import Judged, Judgement, Reason, Rejection
from radiology.measurement import UNITS, Line, Measurement, Quantity
from radiology.report import Outcome
from radiology.study import Study
from radiology.terms import COLOUR_WITHOUT_TERM, TERMS, Kind, Urgency
from radiology.thinking import Look as Step

NOTICE = "Made by AI. Investigational, not verified by a radiologist, not for diagnosis."
SIGNED_NOTICE = "Made by AI and signed by a radiologist. Investigational, not for diagnosis."


class Size(BaseModel):
    """One number that was measured on a mask."""

    quantity: Quantity
    value: float
    unit: str = Field(description="UCUM.")
    lines: list[Line] = Field(description="What it was measured along: ends as slice, row, column from the first pixel's outer edge.")

    @classmethod
    def of(cls, measurement: Measurement) -> Size:
        """Return the measurement as the API says it."""
        unit = UNITS[measurement.quantity]
        return cls(quantity=measurement.quantity, value=measurement.value, unit=unit, lines=list(measurement.lines))


class Decided(BaseModel):
    """What a radiologist decided about a sentence."""

    judgement: Judgement
    person: Person
    moment: datetime

    @classmethod
    def of(cls, judged: Judged) -> Decided:
        """Return the decision as the API says it."""
        return cls(judgement=judged.judgement, person=Person.of(judged.observer), moment=judged.moment)


class Rejected(BaseModel):
    """What a radiologist has taken out: a sentence of the report, or a whole result."""

    number: int = Field(description="Number of the sentence; 0 for a whole result.")
    reason: Reason
    person: Person
    moment: datetime

    @classmethod
    def of(cls, rejection: Rejection) -> Rejected:
        """Return the rejection as the API says it."""
        return cls(number=rejection.number, reason=rejection.reason, person=Person.of(rejection.observer), moment=rejection.moment)


class Place(BaseModel):
    """Where a finding is in one series: array indices, zero-based, half-open."""

    series_uid: str
    instance_uid: str = Field(description="SOP Instance UID of the image that shows it best: the one with the largest part of the mask.")
    start: tuple[int, int, int] = Field(description="First slice, row and column.")
    stop: tuple[int, int, int] = Field(description="Slice, row and column after the last.")
    score: float = Field(description="The model's own certainty of the mask, 0 to 1; not calibrated.")
    tracking_uid: str = Field(description="DICOM Tracking Unique Identifier, the same in SR and SEG.")
    measurements: list[Size]

    @classmethod
    def of(cls, region: Region, study: Study) -> Place:
        """Return the region as the API says it. ``StudyError`` where its series is not in the study."""
        frames = study.find_series(region.series_uid).frames
        return cls(
            series_uid=region.series_uid,
            instance_uid=frames[region.key_slice].uid,
            start=region.box.start,
            stop=region.box.stop,
            score=region.score,
            tracking_uid=region.tracking_uid,
            measurements=[Size.of(measurement) for measurement in region.measurements],
        )


class Statement(BaseModel):
    """One sentence of the report and its places."""

    number: int = Field(description="What the sentence is called in the report and all its later versions.")
    name: str = Field(description="The term; empty where none fits.")
    kind: Kind | Literal[""] = Field(description="Of the term; empty where there is none.")
    colour: str = Field(description="`#rrggbb`, of the term; what the segments recommend.")
    urgency: Urgency = Field(description="Of the term, where it is present or possible; a sentence without a term is routine.")
    sentence: str
    presence: Presence
    side: Side | None
    confidence: float = Field(description="The model's own, 0 to 1; not calibrated.")
    flags: list[str] = Field(description="Why this sentence needs a second look; empty where all checks agreed.")
    decided: Decided | None = Field(description="What a radiologist decided about it; none where nobody has.")
    places: list[Place]

    @classmethod
    def of(cls, finding: Finding, study: Study) -> Statement:
        """Return the finding as the API says it."""
        term = TERMS.get(finding.name)
        red, green, blue = term.colour if term else COLOUR_WITHOUT_TERM
        return cls(
            number=finding.number,
            name=finding.name,
            kind=term.kind if term else "",
            colour=f"#{red:02x}{green:02x}{blue:02x}",
            urgency=term.urgency if term else Urgency.ROUTINE,
            sentence=finding.sentence,
            presence=finding.presence,
            side=finding.side,
            confidence=finding.confidence,
            flags=list(finding.flags),
            decided=Decided.of(finding.judged) if finding.judged else None,
            places=[Place.of(region, study) for region in finding.regions],
        )


class Model(BaseModel):
    """What made a report."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    version: str
    weights_hash: str


class ReportBody(BaseModel):
    """One version of one reading, read back from the archive."""

    document_uid: str = Field(description="SOP Instance UID of the Structured Report with the findings.")
    version: int = Field(description="1 is the model's own; each later one is a radiologist's.")
    state: State
    moment: datetime = Field(description="When this version was made.")
    verified_by: Person | None = Field(description="Who signed it; none where nobody has.")
    outcome: Outcome = Field(description="How the reading ended; that nothing was found, and that nothing could be read, are two things.")
    impression: str
    findings: list[Statement]
    withheld: list[str] = Field(description="One sentence for each finding that the consistency check removed.")
    failures: list[str] = Field(description="One sentence for each part of the study that could not be read.")
    rejected: list[Rejected] = Field(description="What radiologists have taken out of it, and, last, its own rejection.")
    model: Model
    started: datetime

    @classmethod
    def of(cls, version: Version, study: Study) -> ReportBody:
        """Return the version as the API says it."""
        report = version.report
        rejections = [*report.rejected, *([version.rejection] if version.rejection else [])]
        return cls(
            document_uid=version.document_uid,
            version=version.number,
            state=version.state,
            moment=version.moment,
            verified_by=Person.of(version.verified_by) if version.verified_by else None,
            outcome=report.outcome,
            impression=report.impression,
            findings=[Statement.of(finding, study) for finding in report.findings],
            withheld=list(report.withheld),
            failures=list(report.failures),
            rejected=[Rejected.of(rejection) for rejection in rejections],
            model=Model.model_validate(report.model),
            started=report.started,
        )


class Look(BaseModel):
    """One step by which the model came to its report."""

    words: str
    series_uid: str
    instance_uid: str | None = Field(description="The image in the middle of the place; none where the step is about the whole series.")
    start: tuple[int, int, int] | None = Field(description="First slice, row and column.")
    stop: tuple[int, int, int] | None = Field(description="Slice, row and column after the last.")

    @classmethod
    def of(cls, step: Step, study: Study) -> Look:
        """Return the step as the API says it. ``StudyError`` where its place is not in the study."""
        if step.box is None:
            return cls(words=step.words, series_uid=step.series_uid, instance_uid=None, start=None, stop=None)
        region = Region(step.series_uid, step.box)
        uid = study.find_series(region.series_uid).frames[region.key_slice].uid
        return cls(words=step.words, series_uid=step.series_uid, instance_uid=uid, start=step.box.start, stop=step.box.stop)


class StudyReport(BaseModel):
    """What is known of a study: its report where one is in force, and the state of the work on it."""

    study_uid: str
    notice: str = Field(description="What must be said of it wherever it is shown.")
    state: JobState | None = Field(description="State of the newest job; none where this installation never had one.")
    reason: str = Field(description="Why the job is in that state.")
    progress: Progress | None = Field(description="How far the work is; none where no worker is at it.")
    report: ReportBody | None
    thinking: list[Look] = Field(description="How the model came to it, step by step; empty where another installation read it.")
    taken_back: Rejected | None = Field(description="Where no report is in force: by whom, when and why the last one was taken back.")
