"""The command line: the services, and what a person asks of them.

    sightline listen | watch | serve            the services, each until it is stopped
    sightline status [STUDY]                    what is known of each study, or every step of one
    sightline doctor                            whether everything is well, and what to do where it is not
    sightline send FOLDER                       send a folder of DICOM files to the listener
    sightline quarantine                        what came under a UID that stands for something else
    sightline questions STUDY                   who asked what about a study, and what was answered
    sightline audit                             who signed in, saw, judged, asked or was turned away
    sightline show-stuck                        the studies that failed, or came long ago and are not read, and why
    sightline retry STUDY | --failed            try a failed or refused study again, or all that failed
    sightline replay STUDY                      have a study that was read read again, by the model in use now
    sightline prioritise STUDY PRIORITY         have a study that waits read sooner or later: urgent, routine or low
    sightline pause | resume                    have no study taken up, and go on
    sightline sweep [--dry-run]                 forget what is older than the settings keep it, as the watcher does every hour
    sightline rules test FILE                   which rule would decide about a DICOM file or folder, and why
    sightline backup | restore FOLDER           copy ledger, spool and archive, or bring them back to an empty place
    sightline openapi                           the description of the HTTP API

Errors are one sentence on standard error and a non-zero exit status. Each command imports what it needs when it is called:
a status should not wait for the libraries of the listener.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from connector.ledger import Ledger
from radiology.errors import RulesError, SightlineError
from radiology.jobs import Job, JobState, Priority
from radiology.logs import configure_logs
from radiology.settings import ApiSettings, Settings

app = typer.Typer(
    help=__doc__.splitlines()[0] if __doc__ else None, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False
)

_rules = typer.Typer(help="The rules that say which studies are read and which come first.", no_args_is_help=True)
app.add_typer(_rules, name="rules")

_COLOURS = {
    JobState.ARRIVING: "cyan",
    JobState.QUEUED: "cyan",
    JobState.RUNNING: "blue",
    JobState.DONE: "green",
    JobState.REFUSED: "yellow",
    JobState.FAILED: "red",
}

_FAREWELL_SECONDS = 2


class _Stop(Exception):
    """What the command line says before it ends with status 1."""


@app.command()
def listen() -> None:
    """Receive DICOM (C-STORE, C-ECHO) and forward it to the archive."""
    from connector import listener

    listener.run(_service("listener"))


@app.command()
def watch() -> None:
    """Follow the archive, decide which studies are complete and wanted, and queue them."""
    from connector import watcher

    watcher.run(_service("watcher"))


@app.command()
def serve() -> None:
    """Serve the HTTP API and the viewer."""
    import uvicorn

    from connector.api import create_app

    settings = _service("api")
    # No access log: a search for a patient's name would be in it.
    # Who follows a study's events never hangs up: they are given this long when the service is told to stop.
    config = uvicorn.Config(
        create_app(settings),
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.api.proxies,
        timeout_graceful_shutdown=_FAREWELL_SECONDS,
    )
    uvicorn.Server(config).run(sockets=[_bound(settings.api)])


@app.command()
def status(
    study_uid: Annotated[str, typer.Argument(metavar="[STUDY]", help="Study Instance UID; all studies where it is left out.")] = "",
) -> None:
    """Show where each study is and why; with STUDY, every step that it took."""
    ledger = Ledger.open(_settings())
    console = Console(highlight=False)
    if pause := ledger.paused():
        console.print(f"{pause} `sightline resume` ends it.", style="yellow", soft_wrap=True)
    if not study_uid:
        console.print(_overview(ledger.jobs()))
        return
    job = ledger.latest(study_uid)
    if job is None:
        raise _Stop(f"Study {study_uid} is not known here; send it first.")
    console.print(f"Study {job.study_uid}\n{job.description}, revision {job.revision}, {job.attempts} attempts, {job.priority}")
    for step in ledger.history(job.job_id):
        console.print(f"{_clock(step.time)}  [{_COLOURS[step.target]}]{step.target:9}[/] {step.reason}", soft_wrap=True)
    for asked in ledger.commitments.of_study(study_uid):
        results = f"the archive's commitment to {len(asked.instance_uids)} results"
        console.print(f"{_clock(asked.asked)}  {results}: {asked.outcome}", soft_wrap=True)


@app.command()
def doctor() -> None:
    """Try every part of the installation, and say what is wrong and what to do; exit status 1 where anything is."""
    from connector.doctor import Doctor
    from connector.queue import Queue

    settings = _settings()
    found = Doctor(settings, Ledger.open(settings), Queue(settings)).examine()
    table = Table(box=None, show_header=False)
    for part, finding in found.items():
        table.add_row("[green]well[/]" if finding.ok else "[red]ill[/]", part, finding.why)
    Console(highlight=False).print(table)
    if not all(finding.ok for finding in found.values()):
        raise typer.Exit(1)


@app.command()
def send(folder: Annotated[Path, typer.Argument(help="Folder of DICOM files; subfolders too.")]) -> None:
    """Send a folder of DICOM files to the listener, as a modality would. What is not DICOM is named and skipped."""
    from connector.sender import NotSent, send_folder

    sent, not_sent = 0, 0
    for path, outcome in send_folder(folder, _settings().listener):
        if isinstance(outcome, NotSent):
            typer.echo(f"{path}: {outcome.reason}", err=True)
            not_sent += outcome.is_failure
        else:
            sent += 1
    typer.echo(f"{sent} instances sent, {not_sent} failed.")
    if not_sent or not sent:
        raise typer.Exit(1)


@app.command()
def show_stuck(
    minutes: Annotated[float, typer.Option(min=0, help="How long a study may take from its first instance to its results.")] = 60,
) -> None:
    """Show each study that failed, or that came long ago and is not read yet, with the reason; the oldest first."""
    stuck = Ledger.open(_settings()).stuck(datetime.now(UTC) - timedelta(minutes=minutes))
    if not stuck:
        typer.echo(f"No study failed, and none has waited for more than {minutes:g} minutes.")
        return
    Console(highlight=False).print(_overview(stuck))


@app.command()
def retry(
    study_uid: Annotated[str, typer.Argument(metavar="[STUDY]", help="Study Instance UID.")] = "",
    failed: Annotated[bool, typer.Option("--failed", help="Every study whose newest job failed.")] = False,
) -> None:
    """Try a failed or refused study again, or all that failed."""
    if bool(study_uid) == failed:
        raise _Stop("Name one study, or give --failed for all that failed.")
    ledger = Ledger.open(_settings())
    _steered(ledger, "retries all failed studies" if failed else "retry", study_uid)
    again = ledger.retry_failed(sys.maxsize)[0] if failed else [ledger.retry(study_uid)]
    for job in again:
        typer.echo(f"Study {job.study_uid} is {job.state}: {job.reason}")
    if not again:
        typer.echo("No study failed.")


_Study = Annotated[str, typer.Argument(metavar="STUDY", help="Study Instance UID.")]


@app.command()
def replay(study_uid: _Study) -> None:
    """Have a study that was read read again, by the model in use now; what a radiologist has decided stands."""
    ledger = Ledger.open(_settings())
    job = ledger.replay(study_uid, _steered(ledger, "replay", study_uid))
    typer.echo(f"Study {job.study_uid} is {job.state}: {job.reason}")


@app.command()
def prioritise(
    study_uid: _Study, priority: Annotated[Priority, typer.Argument(metavar="urgent | routine | low", help="How soon it is read.")]
) -> None:
    """Have a study that arrives or waits read sooner or later."""
    ledger = Ledger.open(_settings())
    job = ledger.prioritise(study_uid, priority, _steered(ledger, f"priority {priority}", study_uid))
    typer.echo(f"Study {job.study_uid} is {job.state}, {job.priority}.")


@app.command()
def pause(reason: Annotated[str, typer.Option(help="Why, for those who see it; nothing of a patient.")] = "") -> None:
    """Have no study taken up from now on. What runs is finished, receiving goes on, questions are answered."""
    ledger = Ledger.open(_settings())
    typer.echo(ledger.pause(_steered(ledger, "pause"), reason))


@app.command()
def resume() -> None:
    """End a pause."""
    ledger = Ledger.open(_settings())
    ended = ledger.resume(_steered(ledger, "resume"))
    typer.echo("Studies are taken up again." if ended else "There is no pause.")


@app.command()
def sweep(dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False) -> None:
    """Forget what is older than SIGHTLINE_RETENTION__* keep it, as the watcher does every hour."""
    from connector.retention import Retention

    settings = _settings()
    ledger = Ledger.open(settings)
    if not dry_run:
        _steered(ledger, "sweep")
    swept = Retention(settings, ledger).sweep(datetime.now(UTC), dry_run=dry_run)
    for kind, count in swept.items():
        typer.echo(f"{kind}: {count} {'would go' if dry_run else 'gone'}")
    if not swept:
        typer.echo("Everything is kept for good; SIGHTLINE_RETENTION__* in docs/settings.md say what may go when.")


@_rules.command("test")
def try_rules(
    file: Annotated[Path, typer.Argument(exists=True, help="DICOM file, or folder of them.")],
    rules: Annotated[Path | None, typer.Option(help="File of rules; left out it is SIGHTLINE_WATCHER__RULES.")] = None,
    source: Annotated[list[str] | None, typer.Option(metavar="AE", help="AE title that sends it; may be given more than once.")] = None,
    at: Annotated[
        datetime | None, typer.Option(formats=["%H:%M", "%Y-%m-%dT%H:%M"], help="When it comes, in the rules' time zone; now.")
    ] = None,
) -> None:
    """Print which rule would decide about each series, why not those before it, and what would come of it.

    Exit status 2 where the rules cannot be used.
    """
    from connector.rules import load, read
    from connector.trial import studies_in, tried

    settings = _settings()
    try:
        given = read(rules) if rules else load(settings)
    except RulesError as error:
        typer.echo(f"sightline: {error}", err=True)
        raise typer.Exit(2) from error
    now = datetime.now(given.timezone).astimezone(given.timezone)
    arrived = datetime.combine(now if at.year == 1900 else at, at.time(), now.tzinfo) if at else now  # 1900: a time without a day
    for study in studies_in(file):
        typer.echo("\n".join(tried(study, given, settings.watcher, source or [], arrived)))


@app.command()
def quarantine(release: Annotated[str, typer.Option(metavar="INSTANCE", help="Send this instance to the archive after all.")] = "") -> None:
    """Show what came under the UID of something else and is kept from the archive, the oldest first."""
    from connector.quarantine import Quarantine

    settings = _settings()
    held = Quarantine(settings.data_folder / "spool")
    if release:
        _steered(Ledger.open(settings), f"releases instance {release} from quarantine")
        typer.echo(f"{held.release(release)} files go to the archive.")
        return
    for path in held.files():
        came = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        typer.echo(f"{_clock(came)}  study {path.parent.name}  instance {path.name.partition('~')[0]}  {path}")


@app.command()
def questions(study_uid: Annotated[str, typer.Argument(metavar="STUDY", help="Study Instance UID.")]) -> None:
    """Show who asked what about a study, what was answered, and by which weights; the oldest first."""
    for asked in reversed(Ledger.open(_settings()).questions.of_study(study_uid)):
        prompt, answer = asked.prompt, asked.answer
        marks = f"{len(prompt.points)} points{', a box' if prompt.box else ''} on slice {prompt.slice_index} of series {prompt.series_uid}"
        refined = f", refines {prompt.follows}" if prompt.follows else ""
        who = f"{asked.observer.name}, {asked.observer.organization}"
        typer.echo(f"{asked.question_id}  {asked.created.astimezone():%Y-%m-%d %H:%M:%S}  {who}")
        typer.echo(f'    {prompt.kind} "{prompt.words}", {marks}{refined}')
        by = f"  ({answer.model.name} {answer.model.version}, weights {answer.model.weights_hash})" if answer else ""
        typer.echo(f"    {asked.state}: {answer.sentence if answer else asked.reason}{by}")


@app.command()
def audit() -> None:
    """Print the audit trail, an XML message a line (PS3.15 A.5), and see that nobody changed it; the newest hash goes to standard error."""
    trail = Ledger.open(_settings()).audit
    for entry in trail.entries():
        typer.echo(entry.message())
    count, newest = trail.verify()
    typer.echo(f"{count} entries, unchanged; keep this hash elsewhere: {newest}", err=True)


_Archive = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Orthanc's folder; leave it out where the archive has a backup of its own.")
]


@app.command()
def backup(folder: Annotated[Path, typer.Argument(help="Where to; must not be there yet.")], archive: _Archive = None) -> None:
    """Copy ledger, spool and, while Orthanc is stopped, the archive; check what was written."""
    from connector.backup import save

    typer.echo(f"{save(_settings(), folder, archive, typer.echo)} are in {folder}.")


@app.command()
def restore(folder: Annotated[Path, typer.Argument(help="A backup.")], archive: _Archive = None) -> None:
    """Bring a backup back to an empty place, before the services are started there; check what was written."""
    from connector import backup

    brought = backup.restore(_settings(), folder, archive)
    typer.echo(f"{brought} are back as of {brought.made}.")


@app.command()
def openapi() -> None:
    """Print the description of the HTTP API (OpenAPI, JSON)."""
    from connector.api import create_app

    typer.echo(json.dumps(create_app(_settings()).openapi(), indent=2))


def main() -> None:
    """Run the command line; what went wrong is one sentence."""
    try:
        app()
    except (_Stop, SightlineError, FileNotFoundError) as error:
        sys.exit(f"sightline: {error}")


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        faults = (("__".join(map(str, fault["loc"])).upper(), fault["msg"].removeprefix("Value error, ")) for fault in error.errors())
        said = "; ".join(f"SIGHTLINE_{name}: {message}" if name else message for name, message in faults)
        raise _Stop(f"The settings cannot be used: {said.rstrip('.')}.") from error


def _steered(ledger: Ledger, detail: str, study_uid: str = "") -> str:
    """Note in the audit trail that somebody steers the work here, and return who."""
    from connector.audit import Event

    try:
        who = f"{getpass.getuser()} on {socket.gethostname()}"
    except KeyError:  # an account without a name, as in a container
        who = f"user {os.getuid()} on {socket.gethostname()}"
    ledger.audit.note(Event.STEERED, who=who, study_uid=study_uid, detail=detail)
    return who


def _service(name: str) -> Settings:
    settings = _settings()
    configure_logs(settings.log, name)
    return settings


def _bound(settings: ApiSettings) -> socket.socket:
    """Return the API's socket, bound; a port that is taken is a sentence, not a traceback."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((settings.host, settings.port))
    except OSError as error:
        raise _Stop(
            f"Port {settings.port} on {settings.host} cannot be used ({error.strerror}); "
            "stop the program that has it, or set SIGHTLINE_API__PORT."
        ) from error
    return bound


def _overview(jobs: Sequence[Job]) -> Table:
    table = Table("updated", "study", "images", "state", "reason", box=None, header_style="dim")
    table.columns[1].overflow = "fold"  # a UID is for copying
    for job in jobs:
        table.add_row(_clock(job.updated), job.study_uid, job.description, f"[{_COLOURS[job.state]}]{job.state}[/]", job.reason)
    return table


def _clock(time: datetime) -> str:
    local = time.astimezone()
    return f"{local:%H:%M:%S}" if local.date() == datetime.now(UTC).astimezone().date() else f"{local:%Y-%m-%d %H:%M}"


if __name__ == "__main__":
    main()
