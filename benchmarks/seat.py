"""How long a radiologist waits from the click on a sentence until its place is on the screen.

``python -m benchmarks.seat [--slices N] [--clicks N] [--json FILE]`` serves a synthetic CT with ten findings as production does (real
Orthanc, API, unmodified OHIF, Debian's Chromium without a GPU), opens it, waits until every slice is loaded, and clicks the sentences
in turn. Each is measured inside the page, from the click until the viewport has drawn the slice of the place and its box stands on it.
The limit: 95 of 100 within 150 ms. A graphics card draws faster than this browser, which has none.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

import dicom_sr
from connector.pacs import Pacs
from radiology.study import Study
from tests.e2e import chest, stack
from tests.e2e.seat import Seat
from tests.orthanc import Orthanc

LIMIT_MS = 150.0
FINDINGS = 10


def main() -> None:
    """Command line; exits 1 where the limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=120)
    parser.add_argument("--clicks", type=int, default=100)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sightline-seat-") as folder, Orthanc(Path(folder)) as archive:
        study = _file(archive, arguments.slices)
        extension = Path(folder) / "extension"
        stack.build_extension(extension)
        with stack.served(archive.settings, extension) as origin, stack.chromium() as browser:
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.set_default_timeout(600_000)
            seat = Seat(page, origin)
            seat.open(study.study_uid)
            milliseconds = _clicks(seat, study, arguments.clicks)
    p50, p95 = np.percentile(milliseconds, (50, 95))
    figures = {
        "machine": f"{platform.machine()}, {psutil.cpu_count()} cores, {psutil.virtual_memory().total >> 30} GiB, no GPU",
        "load": round(psutil.getloadavg()[0], 1),
        "slices": arguments.slices,
        "clicks": len(milliseconds),
        "milliseconds": {"p50": round(float(p50), 1), "p95": round(float(p95), 1), "max": round(max(milliseconds), 1)},
        "p95_of_limit": round(float(p95) / LIMIT_MS, 2),
    }
    _print(figures, Console())
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    sys.exit(0 if p95 <= LIMIT_MS else 1)


def _file(archive: Orthanc, slices: int) -> Study:
    """Put a CT and a report with ten places, far apart, into the archive."""
    pacs = Pacs.connect(archive.settings.pacs)
    images = chest.as_new_study(chest.ct_study(slices, 256))
    pacs.store(images)
    study = pacs.fetch(images[0].StudyInstanceUID)
    pacs.store(dicom_sr.write(study, chest.crowded_report(study, FINDINGS)))
    return study


def _clicks(seat: Seat, study: Study, count: int) -> list[float]:
    """Milliseconds of each click, after one round that is not counted."""
    seat.page.wait_for_function("window.seen.boxes().length > 0 && window.seen.segments().length > 0")
    seat.page.wait_for_function("window.seen.isLoaded()")
    seat.page.evaluate(_LISTEN)
    findings = chest.crowded_report(study, FINDINGS).findings
    frames = study.series[0].frames
    milliseconds = []
    for click in range(FINDINGS + count):
        finding = findings[click * 3 % FINDINGS]  # never the neighbour
        button = seat.sentence(finding.sentence).element_handle()
        milliseconds.append(float(seat.page.evaluate(_CLICK, [button, frames[finding.regions[0].key_slice].uid])))
    return milliseconds[FINDINGS:]


_LISTEN = """() => {
  window.drawings = [];
  const viewport = window.seen.viewport();
  viewport.element.addEventListener('CORNERSTONE_IMAGE_RENDERED', () => {
    window.drawings.push({ time: performance.now(), instance: window.seen.instance() });
  });
}"""

_CLICK = """([button, instance]) => new Promise(resolve => {
  const start = performance.now();
  window.drawings = [];
  button.click();
  const isThere = () => window.drawings.some(each => each.instance === instance) && window.seen.rectangles().length > 0;
  const look = () => (isThere() ? setTimeout(() => resolve(window.drawings.at(-1).time - start), 300) : requestAnimationFrame(look));
  look();
})"""
"""The last drawing counts: masks may be drawn after their slice."""


def _print(figures: dict[str, object], console: Console) -> None:
    milliseconds: dict[str, float] = figures["milliseconds"]  # type: ignore[assignment]
    table = Table(
        "clicks",
        "p50 ms",
        "p95 ms",
        "max ms",
        f"p95 of {LIMIT_MS:.0f} ms",
        title=f"Sentence to place, {figures['machine']}, load {figures['load']}",
    )
    table.add_row(str(figures["clicks"]), *(f"{value:.0f}" for value in milliseconds.values()), f"{figures['p95_of_limit']:.2f}")
    console.print(table)


if __name__ == "__main__":
    main()
