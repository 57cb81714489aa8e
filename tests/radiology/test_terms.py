"""Every code of the report's words is DICOM's own, or on the reviewed list."""

import pytest
from pydicom.sr.codedict import codes
from pydicom.sr._concepts_dict import concepts

from radiology.terms import REVIEWED, SIDE_CODES, TERMS, Code

ALL_CODES = [code for term in TERMS.values() for code in (term.code, term.site) if code is not None] + list(SIDE_CODES.values())


@pytest.mark.parametrize("code", ALL_CODES, ids=lambda code: code.meaning)
def test_code_is_known(code: Code) -> None:
    assert codes is not None
    known = {value: meaning for entry in concepts[code.scheme].values() for value, (meaning, _) in entry.items()}
    assert code.value in REVIEWED or known[code.value].lower() == code.meaning.lower()
