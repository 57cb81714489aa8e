"""The demo: every service on this machine, studies sent to the listener, and what came of each.

    python -m deploy.demo [--once] [--json FILE] [--send FOLDER] [--fresh]

It keeps its archive, ledger and studies in ``var/demo`` (or ``SIGHTLINE_DATA_FOLDER``), so that a second run shows in
seconds what the first one made.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from rich.console import Console

import dicom_sr
from connector.ledger import Ledger
from connector.pacs import Pacs
from connector.sender import NotSent, send_folder
from deploy import ohif, services, show, studies
from deploy.services import ServiceError
from deploy.show import Result
from deploy.studies import DemoStudy
from radiology.errors import SightlineError
from radiology.jobs import Job, JobState
from radiology.settings import Settings

_ROOT = Path(__file__).resolve().parents[1]
_FINAL = frozenset({JobState.DONE, JobState.REFUSED, JobState.FAILED})
_POLL_SECONDS = 0.25
_HASTY = {"quiet_seconds": 2.0}
"""Whoever looks at a demo waits; its senders do not pause."""
_ARRIVAL_SECONDS = 60


app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command()
def main(
    once: Annotated[
        bool, typer.Option("--once", help="End when the results are in; 0 only if every study has a valid SR and SEG.")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write what was seen.")] = None,
    send: Annotated[
        Path | None, typer.Option("--send", metavar="FOLDER", help="Send this folder of DICOM instead of the demo studies.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the archive and the results of earlier runs.")] = False,
) -> None:
    """Start everything, send the studies, show what the model makes of them, and serve the viewer."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has it ignored in what it starts in the background
    console = Console(highlight=False)
    try:
        settings = demo_settings()
        if fresh:
            _forget(settings)
        chosen = _own_studies(send) if send else studies.prepare(settings.data_folder, _ROOT / "var" / "sources", console)
        console.print("Starting archive, listener, watcher, worker and viewer ...")
        with services.running(settings) as check:
            results = _read(settings, chosen, check, console)
            if json_file:
                json_file.write_text(json.dumps({"studies": [result.as_json() for result in results]}, indent=1) + "\n")
            good = all(result.sr and result.seg for result in results)
            viewer = f"http://{settings.api.host}:{settings.api.port}/"
            console.print(f"\nThe viewer, with every study: [bold]{viewer}[/]")
            for result in results:
                console.print(
                    f"  {result.study.description}:\n    {viewer}viewer?StudyInstanceUIDs={result.study.study_uid}", soft_wrap=True
                )
            console.print("Made by AI. Investigational, not verified by a radiologist, not for diagnosis.", style="dim")
            if not once:
                console.print("Ctrl-C stops everything.")
                while True:
                    check()
                    time.sleep(1)
        sys.exit(0 if good else 1)
    except KeyboardInterrupt:
        console.print("\nStopped; nothing is left running.")
    except (SightlineError, ohif.ViewerNotInstalled, FileNotFoundError) as error:
        sys.exit(f"demo: {error}")
    except OSError as error:
        sys.exit(f"demo: {error}; is there enough space, and may it be written?")


def demo_settings() -> Settings:
    """Return the settings from the environment, with the demo's folders where the environment says nothing.

    Raises:
        ServiceError: a setting is wrong, or the viewer's extension is not built.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        raise ServiceError("; ".join(fault["msg"].removeprefix("Value error, ") for fault in error.errors())) from error
    folder = settings.data_folder if "data_folder" in settings.model_fields_set else _ROOT / "var" / "demo"
    extension = settings.api.extension_folder or _ROOT / "ohif-extension" / "dist"
    if not extension.is_dir():
        raise ServiceError(f"The viewer's extension is not built ({extension}); run scripts/setup.")
    api = settings.api.model_copy(
        update={"viewer_folder": settings.api.viewer_folder or ohif.install(_ROOT / ohif.CACHE_FOLDER), "extension_folder": extension}
    )
    watcher = settings.watcher if "quiet_seconds" in settings.watcher.model_fields_set else settings.watcher.model_copy(update=_HASTY)
    pacs = settings.pacs.model_copy(update={} if "storage_commitment" in settings.pacs.model_fields_set else {"storage_commitment": "ask"})
    return settings.model_copy(update={"data_folder": folder.resolve(), "api": api, "watcher": watcher, "pacs": pacs})


def _forget(settings: Settings) -> None:
    """Delete archive, ledger, queue, spool and logs, and nothing else that may lie in the folder."""
    services.refuse_taken_ports(settings)  # never under the feet of a demo that runs
    for pattern in ("orthanc", "ledger.sqlite*", "queue", "spool", "logs"):
        for path in settings.data_folder.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _own_studies(folder: Path) -> list[DemoStudy]:
    """Return the studies of a folder of DICOM files, by their headers."""
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}.")
    found: dict[str, str] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            header = dcmread(path, stop_before_pixels=True, specific_tags=["StudyInstanceUID", "Modality"])
        except (InvalidDicomError, EOFError, OSError, ValueError):
            continue  # the sender names it
        if "StudyInstanceUID" in header:
            found.setdefault(str(header.StudyInstanceUID), f"{header.get('Modality', '')} study")
    if not found:
        raise FileNotFoundError(f"There is no DICOM file in {folder}.")
    return [DemoStudy(study_uid, description, folder) for study_uid, description in found.items()]


def _read(settings: Settings, chosen: Sequence[DemoStudy], check: Callable[[], None], console: Console) -> list[Result]:
    """Send what has not been read yet, follow it until each study is done, and fetch the results from the archive."""
    ledger, pacs = Ledger.open(settings), Pacs.connect(settings.pacs)
    try:
        for folder in dict.fromkeys(study.folder for study in chosen if not _is_read(ledger.latest(study.study_uid))):
            for path, outcome in send_folder(folder, settings.listener):
                if isinstance(outcome, NotSent):
                    console.print(f"  {path.name}: {outcome.reason}", style="yellow")
        _follow(ledger, chosen, check, console)
        results = []
        for study in chosen:
            result = _result(study, ledger.latest(study.study_uid), pacs)
            show.print_result(result, console)
            results.append(result)
        return results
    finally:
        ledger.close()


def _is_read(job: Job | None) -> bool:
    return job is not None and job.state is JobState.DONE


def _follow(ledger: Ledger, chosen: Sequence[DemoStudy], check: Callable[[], None], console: Console) -> None:
    """Show a line per study until each has a final state, or never arrived."""
    started = time.monotonic()
    with show.Progress(console) as progress:
        while True:
            check()
            waiting = False
            for study in chosen:
                job = ledger.latest(study.study_uid)
                progress.update(study, job)
                waiting |= job.state not in _FINAL if job else time.monotonic() - started < _ARRIVAL_SECONDS
            if not waiting:
                return
            time.sleep(_POLL_SECONDS)


def _result(study: DemoStudy, job: Job | None, pacs: Pacs) -> Result:
    """Fetch what the archive holds of our results, and read it back."""
    if not _is_read(job):
        return Result(study, job, None, (), ())
    stored = pacs.results(study.study_uid)
    report = dicom_sr.read(stored, pacs.fetch(study.study_uid))
    by_modality = {modality: tuple(str(each.SOPInstanceUID) for each in stored if each.Modality == modality) for modality in ("SR", "SEG")}
    return Result(study, job, report, by_modality["SR"], by_modality["SEG"])


if __name__ == "__main__":
    app()
