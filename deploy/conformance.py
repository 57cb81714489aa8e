"""The tables of docs/conformance.md, from the tables that the code works with.

    python -m deploy.conformance    writes them anew; the text between them is written by hand

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``. A test fails where page and code differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from pydicom.sr.coding import Code
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.sop_class import Verification

from connector.delivery import Reports
from connector.mpps import StepService
from dicom_sr.codes import (
    CATEGORY_CODES,
    GEOMETRIC_PURPOSE,
    LATERALITY,
    LOCAL_SCHEME,
    MODALITY_CODES,
    PRESENCE,
    PRESENCE_CODES,
    QUALITATIVE_EVALUATIONS,
    QUANTITY_CODES,
    UNIT_CODES,
    to_dicom,
)
from dicom_sr.kinds import KINDS, LABEL_MAP_SEGMENTATION_STORAGE, SEGMENTATION
from radiology.image import VOLUME_MODALITIES
from radiology.settings import Settings
from radiology.terms import SIDE_CODES, TERMS

PAGE = Path(__file__).parents[1] / "docs" / "conformance.md"

_YES = {True: "yes", False: ""}


def _rows(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _code(code: Code) -> str:
    return f"({code.value}, {code.scheme_designator}, “{code.meaning}”)"


def _name(sop_class: UID) -> str:
    # pydicom's dictionary is older than the class.
    return "Label Map Segmentation Storage" if sop_class == LABEL_MAP_SEGMENTATION_STORAGE else sop_class.name


def _objects() -> str:
    """What is written: a row per kind of object."""
    return _rows(
        ("object", "SOP class", "template", "modality", "series", "series description"),
        (
            (
                kind.name,
                "<br>or ".join(f"{_name(uid)} `{uid}`" for uid in kind.sop_classes),
                f"TID {kind.template}" if kind.template else "-",
                kind.modality,
                f"{kind.series_number} and on" if kind is SEGMENTATION else str(kind.series_number),
                kind.description,
            )
            for kind in KINDS
        ),
    )


def _services() -> str:
    """The SOP classes by role."""
    sent = sorted({uid for kind in KINDS for uid in kind.sop_classes}, key=_name)
    return _rows(
        ("SOP class", "UID", "as SCU", "as SCP", "transfer syntax"),
        [
            (Verification.name, f"`{Verification}`", "no", "yes", "as proposed"),
            *((_name(uid), f"`{uid}`", "yes", "yes", f"{ExplicitVRLittleEndian.name} as SCU") for uid in sent),
            ("every other storage class, private ones included", "-", "forwarded as it came", "yes", "the first one proposed"),
            (Reports.sop_class.name, f"`{Reports.sop_class}`", "where set", "no", ImplicitVRLittleEndian.name),
            (StepService.sop_class.name, f"`{StepService.sop_class}`", "no", "where set", "Explicit or Implicit VR Little Endian"),
        ],
    )


def _entities() -> str:
    """Application entities with the defaults of the settings."""
    listener, pacs = Settings.model_fields["listener"].default, Settings.model_fields["pacs"].default
    longest = f"{listener.maximum_pdu_bytes} bytes"
    return _rows(
        ("application entity", "default AE title", "default port", "role", "associations at once", "longest PDU"),
        [
            ("listener", listener.ae_title, str(listener.port), "acceptor", str(listener.maximum_associations), longest),
            ("sender of results, by C-STORE where set", pacs.calling_ae_title, "-", "initiator", "1", "as the archive says"),
        ],
    )


def _terms() -> str:
    """Names with their codes, as SR Finding and SEG Segmented Property Type."""
    return _rows(
        ("name", "kind", "code", "site", "has a side"),
        (
            (term.name, term.kind, _code(to_dicom(term.code)), _code(to_dicom(term.site)) if term.site else "", _YES[term.paired])
            for term in TERMS.values()
        ),
    )


def _concepts() -> str:
    """The other codes, by what they are used for."""
    used = {
        "Presence, the concept": [PRESENCE],
        "Presence, the values (CID 240)": PRESENCE_CODES.values(),
        "Laterality, the concept": [LATERALITY],
        "Laterality, the values (CID 244)": [to_dicom(code) for code in SIDE_CODES.values()],
        "Geometric purpose of region (CID 219)": [GEOMETRIC_PURPOSE],
        "Container of what has no place": [QUALITATIVE_EVALUATIONS],
        "Measurements": QUANTITY_CODES.values(),
        "Units": UNIT_CODES.values(),
        "Segmented property category (CID 7150)": CATEGORY_CODES.values(),
        "Acquisition modality (CID 29)": MODALITY_CODES.values(),
    }
    scheme = LOCAL_SCHEME.CodingSchemeDesignator
    own = f"\n\n{scheme} is a private scheme of Sightline (PS3.16 8.2); its codes are those above that name it."
    return _rows(("used for", "codes"), ((name, "<br>".join(_code(code) for code in group)) for name, group in used.items())) + own


def _sources() -> str:
    """Modalities that the model reads."""
    return _rows(
        ("modality", "read as"),
        ((modality, "volume" if modality in VOLUME_MODALITIES else "projection") for modality in MODALITY_CODES),
    )


TABLES: dict[str, Callable[[], str]] = {
    "services": _services,
    "entities": _entities,
    "objects": _objects,
    "terms": _terms,
    "concepts": _concepts,
    "sources": _sources,
}


def with_table(page: str, name: str, table: str) -> str:
    """Return the page with this table between its marks; ``ValueError`` where it has no such marks."""
    mark = re.compile(rf"(<!-- table: {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not mark.search(page):
        raise ValueError(f"The page has no place for the table '{name}'; add <!-- table: {name} --> and <!-- end -->.")
    return mark.sub(lambda found: found[1] + table + "\n" + found[2], page, count=1)


def refreshed(page: str) -> str:
    """Return the page with every table as the code has it now."""
    for name, table in TABLES.items():
        page = with_table(page, name, table())
    return page


if __name__ == "__main__":
    PAGE.write_text(refreshed(PAGE.read_text()))
