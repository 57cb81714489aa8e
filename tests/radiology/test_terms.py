"""Every code of the report's words is DICOM's own, or on the reviewed list."""

import pytest
from pydicom.sr._concepts_dict import concepts

from radiology.terms import REVIEWED, SIDE_CODES, TERMS, Code

ALL_CODES = [code for term in TERMS.values() for code in (term.code, term.site) if code is not None] + list(SIDE_CODES.values())
DICOM_CODES = {(scheme, value) for scheme, entries in concepts.items() for values in entries.values() for value in values}


@pytest.mark.parametrize("code", sorted(set(ALL_CODES), key=lambda code: code.meaning), ids=lambda code: code.meaning)
def test_code_is_in_dicoms_subset_or_reviewed(code: Code) -> None:
    assert (code.scheme, code.value) in DICOM_CODES or code.value in REVIEWED


def test_reviewed_codes_are_those_that_dicom_lacks() -> None:
    assert not [value for value in REVIEWED if ("SCT", value) in DICOM_CODES]
