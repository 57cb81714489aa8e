"""What may stand in the texts that come in: DICOM's limits (PS3.5 6.2), and no control characters."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from pydantic import StringConstraints

StudyUid = Annotated[str, Path(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64, description="Study Instance UID (PS3.5 9.1).")]
UidInPath = Annotated[str, Path(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64, description="A UID (PS3.5 9.1).")]
Uid = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64)]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
"""What the ledger counts its rows with."""
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64, pattern=r"^[^\\\x00-\x1f\x7f-\x9f]+$")]
"""One line of 64 characters without a backslash: a name (PN), an organization (LO)."""
Sentence = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]
Words = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
Paragraphs = Annotated[str, StringConstraints(strip_whitespace=True, max_length=4000, pattern=r"^[^\x00-\x09\x0b-\x1f\x7f-\x9f]*$")]
