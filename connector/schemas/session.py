"""A session, as the HTTP API says it."""

from __future__ import annotations

from pydantic import BaseModel, Field

from connector.access import Right


class Session(BaseModel):
    """Who is signed in."""

    is_asked: bool = Field(description="Whether people have to sign in here at all.")
    login: str
    name: str = Field(description="As DICOM writes names: `Family^Given`; verdicts are given in it.")
    organization: str = Field(description="The hospital or practice of the accounts; empty where the settings name none.")
    rights: list[Right]
