"""A radiologist, as the HTTP API says and hears it."""

from __future__ import annotations

from pydantic import BaseModel, Field

from connector.schemas.text import Line
from radiology.judgement import Observer


class Person(BaseModel):
    """A radiologist."""

    name: Line = Field(description="As DICOM writes names: `Family^Given`.")
    organization: Line
    login: str = Field("", max_length=64, pattern=r"^[^\\\x00-\x1f\x7f-\x9f]*$", description="What the organization's computers say.")

    @classmethod
    def of(cls, observer: Observer) -> Person:
        """Return the person as the API says it, whatever an archive may hold."""
        return cls.model_construct(name=observer.name, organization=observer.organization, login=observer.login)

    @property
    def observer(self) -> Observer:
        """The person as the rest of the house knows it."""
        return Observer(self.name, self.organization, self.login)
