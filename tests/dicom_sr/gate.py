"""The tables of the gate in docs/conformance.md: what each judge has against the objects, source by source.

python -m tests.dicom_sr.gate    asks every judge, which takes some minutes, and writes the tables
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.conformance import PAGE, with_table
from tests.dicom_sr.cases import STUDIES, Case, make, pairs
from tests.dicom_sr.judges import JUDGES, Complaints

QUICK = [name for name in JUDGES if name != "PixelMed"]


def for_pixelmed(cases: Iterable[Case]) -> list[Case]:
    """The cases whose documents PixelMed sees, as it needs seconds for each: findings on every source, every situation on CT."""
    return [case for case in cases if case.situation == "findings" or case.source == "CT"]


def table(cases: Sequence[Case], complaints: Mapping[str, Complaints]) -> str:
    """Return a row per source and a column per judge: objects with complaints, of all that it judged."""

    def cell(source: str, judge: str) -> str:
        found = [complaints[judge][path] for case in cases if case.source == source for path in case.files if path in complaints[judge]]
        return f"{sum(bool(wrong) for wrong in found)} of {len(found)}"

    rows = [["images", *complaints], ["---"] * (len(complaints) + 1)]
    rows += [[source, *(cell(source, judge) for judge in complaints)] for source in STUDIES]
    total = [f"{sum(map(bool, found.values()))} of {len(found)}" for found in complaints.values()]
    rows.append(["**all**", *(f"**{each}**" for each in total)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    """Write both tables, and say what is wrong."""
    with TemporaryDirectory() as folder:
        cases = [make(source, situation, number, Path(folder, str(number))) for number, (source, situation) in enumerate(pairs())]
        _publish("gate", cases, {name: JUDGES[name](cases) for name in QUICK})
        _publish("templates", cases, {"PixelMed": JUDGES["PixelMed"](for_pixelmed(cases))})


def _publish(name: str, cases: Sequence[Case], complaints: Mapping[str, Complaints]) -> None:
    PAGE.write_text(with_table(PAGE.read_text(), name, table(cases, complaints)))
    for judge, found in complaints.items():
        for path, wrong in found.items():
            if wrong:
                case = next(case for case in cases if path in case.files)
                print(f"{judge}: {case.source}, {case.situation}, {path.name}: {wrong}", flush=True)


if __name__ == "__main__":
    main()
