"""What a radiologist decides, as the HTTP API hears it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from connector.masks import PackedMask
from connector.schemas.person import Person
from connector.schemas.text import Paragraphs, Sentence, Uid
from radiology.finding import Presence, Side
from radiology.judgement import Reason

Index = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]]
Number = Annotated[int, Field(ge=1, description="Number of the sentence.")]


class Heard(BaseModel):
    """What comes in; an unknown name in it is an error."""

    model_config = ConfigDict(extra="forbid")


class PlaceIn(Heard):
    """Where a finding is. A Tracking UID alone keeps that place of the finding as it is; anything else is a place anew."""

    tracking_uid: Uid | None = None
    series_uid: Uid | None = None
    start: Index | None = Field(None, description="First slice, row and column, zero-based.")
    stop: Index | None = Field(None, description="Slice, row and column after the last.")
    mask: PackedMask | None = Field(None, description="The pixels inside the box; none where there is only a box.")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        given = [self.series_uid is not None, self.start is not None, self.stop is not None]
        if any(given) != all(given) or not (any(given) or self.tracking_uid) or (self.mask is not None and not all(given)):
            raise ValueError("a place is a tracking_uid alone, or series_uid, start and stop, with a mask or without")
        return self


class AcceptIn(Heard):
    """The sentence is right."""

    verdict: Literal["accept"]
    number: Number


class RejectIn(Heard):
    """The sentence should not be in the report."""

    verdict: Literal["reject"]
    number: Number
    reason: Reason


class FindingIn(Heard):
    """A finding as it should be, all of it."""

    sentence: Sentence
    name: str = Field(max_length=64, description="A term; empty where none fits.")
    presence: Presence
    side: Side | None
    places: list[PlaceIn] = Field(max_length=256)


class EditIn(FindingIn):
    """The sentence should be this one."""

    verdict: Literal["edit"]
    number: Number


class AddIn(FindingIn):
    """This is missing in the report."""

    verdict: Literal["add"]


class RestoreIn(Heard):
    """The finding should stand as it stood in an earlier version, which undoes whatever was decided about it since."""

    verdict: Literal["restore"]
    number: Number
    version: Annotated[int, Field(ge=1)] | None = Field(
        None, description="None is the version before this one. A finding that it does not have is taken out."
    )


VerdictIn = Annotated[AcceptIn | RejectIn | EditIn | AddIn | RestoreIn, Field(discriminator="verdict")]


class DecisionIn(Heard):
    """What a radiologist hands in at once."""

    document_uid: Uid = Field(description="The findings that were looked at.")
    person: Person
    verdicts: list[VerdictIn] = Field(max_length=1000)
    sign: bool = Field(False, description="Whether the whole report is signed; then every sentence must be decided.")
    impression: Paragraphs | None = Field(None, description="The summary in the radiologist's words; none makes it from the sentences.")


class RejectionIn(Heard):
    """That the whole report is taken back."""

    document_uid: Uid = Field(description="The findings that were looked at.")
    person: Person
    reason: Reason
