"""How long a radiograph takes from its last instance to its results in the archive, and what each process weighs.

``python -m benchmarks.path [--radiographs N] [--json FILE]`` starts the real services on free ports with an empty archive, sends the demo's
normal radiograph N times as N studies, one after the other, and reads the times of each part from the ledger. The limit:
``overhead_seconds``, all but the quiet time and the model, is at most 1.5 s.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid
from rich.console import Console
from rich.table import Table

from connector.ledger import Ledger
from connector.sender import send_folder
from deploy import services, studies
from deploy.demo import demo_settings
from radiology.jobs import Job, JobState
from radiology.settings import Settings
from tests.orthanc import free_port

LIMIT_SECONDS = 1.5
PARTS = ("quiet", "queue", "fetch", "load", "model", "write", "store")


def main() -> None:
    """Command line; exits 1 where a study failed or the limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--radiographs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory(prefix="sightline-path-") as folder:
        settings = _settings(Path(folder))
        template = _radiograph(settings, console)
        with services.running(settings):
            runs = [_run(settings, template, Path(folder) / f"sent-{number}") for number in range(arguments.radiographs + 1)][1:]
            memory = _memory()
    figures: dict[str, Any] = {
        "machine": f"{platform.machine()}, {psutil.cpu_count()} cores, {psutil.virtual_memory().total >> 30} GiB",
        "radiographs": len(runs),
        "quiet_seconds_set": settings.watcher.quiet_seconds,
        "overhead_seconds": _spread([run["overhead"] for run in runs]),
        "parts": {part: _spread([run[part] for run in runs]) for part in (*PARTS, "other", "total")},
        "memory_mib": memory,
    }
    _print(figures, console)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    sys.exit(0 if figures["overhead_seconds"]["median"] <= LIMIT_SECONDS else 1)


def _settings(folder: Path) -> Settings:
    """The demo's settings on free ports, in a folder of its own."""
    settings, http_port = demo_settings(), free_port()
    url = f"http://127.0.0.1:{http_port}"
    pacs = {"orthanc_url": url, "dicomweb_url": f"{url}/dicom-web", "port": free_port()}
    return settings.model_copy(
        update={
            "data_folder": folder,
            "pacs": settings.pacs.model_copy(update=pacs),
            "listener": settings.listener.model_copy(update={"port": free_port()}),
            "api": settings.api.model_copy(update={"port": free_port()}),
        }
    )


def _radiograph(settings: Settings, console: Console) -> Dataset:
    made = studies.prepare(demo_settings().data_folder, Path("var") / "sources", console)
    chosen = next(study for study in made if "normal" in study.description.lower())
    return dcmread(next(path for path in sorted(chosen.folder.iterdir()) if path.suffix == ".dcm"))


def _run(settings: Settings, template: Dataset, folder: Path) -> dict[str, float]:
    """Send one radiograph as a study of its own; return the seconds of each part."""
    folder.mkdir()
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(template, keyword, generate_uid())
    template.file_meta.MediaStorageSOPInstanceUID = template.SOPInstanceUID
    template.save_as(folder / "radiograph.dcm")
    assert all(outcome is None for _, outcome in send_folder(folder, settings.listener))
    sent = time.time()
    ledger = Ledger.open(settings)
    try:
        job = _await(ledger, str(template.StudyInstanceUID))
        times = {step.target: step.time.timestamp() for step in ledger.history(job.job_id)}
    finally:
        ledger.close()
    if job.state is not JobState.DONE:
        sys.exit(f"The study ended as {job.state}: {job.reason}")
    seconds = {"quiet": times[JobState.QUEUED] - sent, **job.parts, "total": times[JobState.DONE] - sent}
    seconds["other"] = seconds["total"] - sum(seconds[part] for part in PARTS)
    # Quiet time beyond the setting is ours: the looks at the archive, and its own answers.
    seconds["overhead"] = seconds["total"] - seconds["model"] - settings.watcher.quiet_seconds
    return seconds


def _await(ledger: Ledger, study_uid: str) -> Job:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        job = ledger.latest(study_uid)
        if job is not None and job.state in (JobState.DONE, JobState.FAILED, JobState.REFUSED):
            return job
        time.sleep(0.05)
    sys.exit("No result after 300 s; the logs in the data folder say why.")


def _memory() -> dict[str, int]:
    """Resident memory of each service, MiB."""
    names = {"listen": "listener", "watch": "watcher", "serve": "api", "ai_engine.worker": "worker"}
    memory: dict[str, int] = {}
    for process in psutil.Process().children(recursive=True):
        words = process.cmdline()
        name = next((names[word] for word in words if word in names), "orthanc" if "orthanc" in words[0].lower() else "supervisor")
        memory[name] = memory.get(name, 0) + (process.memory_info().rss >> 20)
    return memory


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"min": round(min(values), 3), "median": round(statistics.median(values), 3), "max": round(max(values), 3)}


def _print(figures: dict[str, Any], console: Console) -> None:
    table = Table(
        "part", "min s", "median s", "max s", title=f"Last instance to result, {figures['radiographs']} radiographs, {figures['machine']}"
    )
    parts = {**figures["parts"], "overhead (limit 1.5)": figures["overhead_seconds"]}
    for name, spread in parts.items():
        table.add_row(name, *(f"{spread[key]:.3f}" for key in ("min", "median", "max")))
    console.print(table)
    weights = Table("process", "resident MiB")
    for name, size in figures["memory_mib"].items():
        weights.add_row(name, str(size))
    console.print(weights)


if __name__ == "__main__":
    main()
