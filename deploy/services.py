"""The services of one machine under one supervisor: archive, listener, watcher, worker, API with viewer.

supervisord restarts what dies and keeps the logs in ``data_folder/logs``. Whatever ends it, no process stays behind:
each one asks the kernel (``setpriv --pdeathsig``) to be ended when its parent is gone.
"""

from __future__ import annotations

import configparser
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xmlrpc.client import ServerProxy

from pydantic import SecretStr
from supervisor.xmlrpc import SupervisorTransport

from deploy import orthanc
from radiology.errors import SightlineError
from radiology.settings import Section, Settings

_READY_SECONDS = 240
_STOP_SECONDS = 60
_STARTS_IN_FIVE_MINUTES = 4
"""A service that was started this often is not coming up; its log says why."""
_END_WITH_PARENT = ["setpriv", "--pdeathsig", "TERM"]


class ServiceError(SightlineError):
    """A service cannot be started; the message says what to do."""


def commands(settings: Settings) -> dict[str, list[str]]:
    """Return the command of each service, in the order in which they start.

    Raises:
        ServiceError: Orthanc is not installed.
    """
    if shutil.which("setpriv") is None:
        raise ServiceError("setpriv is missing; run: apt-get install util-linux")
    python = sys.executable
    try:
        archive = orthanc.program()
    except FileNotFoundError as error:
        raise ServiceError(f"{error}, or run scripts/setup.") from error
    return {
        "orthanc": [archive, str((settings.data_folder / "orthanc.json").resolve())],
        "listener": [python, "-m", "connector", "listen"],
        "watcher": [python, "-m", "connector", "watch"],
        "worker": [python, "-m", "ai_engine.worker"],
        "api": [python, "-m", "connector", "serve"],
    }


def environment(settings: Settings) -> dict[str, str]:
    """Return the settings as the environment variables that give the same settings in another process."""
    variables = {"SIGHTLINE_DATA_FOLDER": str(settings.data_folder.resolve())}
    for section_name in type(settings).model_fields:
        section = getattr(settings, section_name)
        if not isinstance(section, Section):
            continue
        for name in sorted(section.model_fields_set):
            value = getattr(section, name)
            if isinstance(value, SecretStr):
                value = value.get_secret_value()
            if value is not None:
                text = json.dumps(value, default=str) if isinstance(value, list | dict | bool) else str(value)
                variables[f"SIGHTLINE_{section_name}__{name}".upper()] = text
    return variables


def refuse_taken_ports(settings: Settings) -> None:
    """Raise ``ServiceError`` where a port that a service wants is in use; names the port and its setting."""
    wanted = [
        (
            settings.pacs.host,
            urlsplit(settings.pacs.orthanc_url).port or 80,
            "SIGHTLINE_PACS__ORTHANC_URL and SIGHTLINE_PACS__DICOMWEB_URL",
        ),
        (settings.pacs.host, settings.pacs.port, "SIGHTLINE_PACS__PORT"),
        *((settings.listener.host, port, setting) for port, setting in settings.listener.ports.items()),
        (settings.api.host, settings.api.port, "SIGHTLINE_API__PORT"),
    ]
    for host, port, setting in wanted:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise ServiceError(f"Port {port} is in use: stop the program that has it, or choose another with {setting}.") from error


@contextmanager
def running(settings: Settings) -> Iterator[Callable[[], None]]:
    """Run all services while the body runs; they answer when the body begins, and are gone when this returns.

    Yields:
        A function that raises ``ServiceError`` when a service is no longer kept running; call it now and then.

    Raises:
        ServiceError: a program is missing, a port is in use, the disk is full, or a service does not start.
    """
    started = commands(settings)
    refuse_taken_ports(settings)
    with tempfile.TemporaryDirectory(prefix="sightline-") as folder:  # short: a socket's path has at most 107 characters
        control = Path(folder) / "supervisor.sock"
        try:
            configuration = _write_configuration(settings, started, control)
        except OSError as error:
            raise ServiceError(
                f"{settings.data_folder} cannot be written: {error.strerror}; free some space or set SIGHTLINE_DATA_FOLDER."
            ) from error
        supervisor = subprocess.Popen(
            [*_END_WITH_PARENT, sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)],
            env={**_foreign_variables(), **orthanc.ENVIRONMENT, **environment(settings), "C_FORCE_ROOT": "1", "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C at the terminal reaches us alone, and we stop the services in order
        )
        check = _Check(settings, supervisor, control)
        try:
            _await_ready(settings, check)
            yield check
        finally:
            supervisor.terminate()
            try:
                supervisor.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                supervisor.kill()
                supervisor.wait()


def _write_configuration(settings: Settings, started: Mapping[str, list[str]], control: Path) -> Path:
    folder = settings.data_folder.resolve()
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    (folder / "orthanc").mkdir(exist_ok=True)
    _write_private(folder / "orthanc.json", json.dumps(orthanc.configuration(settings), indent=1))

    parser = configparser.RawConfigParser()
    parser["supervisord"] = {
        "nodaemon": "true",
        "silent": "true",
        "logfile": _literal(logs / "supervisor.log"),
        "pidfile": _literal(control.with_suffix(".pid")),
        "childlogdir": _literal(logs),
    }
    parser["unix_http_server"] = {"file": _literal(control), "chmod": "0700"}
    parser["rpcinterface:supervisor"] = {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"}
    for priority, (name, command) in enumerate(started.items()):
        parser[f"program:{name}"] = {
            "command": _literal(" ".join(f'"{word}"' for word in [*_END_WITH_PARENT, *command])),
            "priority": str(priority),
            "directory": _literal(Path(__file__).resolve().parents[1]),
            "autorestart": "true",
            "startretries": "3",
            "stopasgroup": "true",
            "killasgroup": "true",
            "stopwaitsecs": "20",
            "redirect_stderr": "true",
            "stdout_logfile": _literal(logs / f"{name}.log"),
            "stdout_logfile_maxbytes": "10MB",
            "stdout_logfile_backups": "2",
        }
    path = folder / "supervisord.conf"
    with path.open("w") as file:
        parser.write(file)
    return path


def _foreign_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.upper().startswith("SIGHTLINE_")}


def _literal(text: object) -> str:
    """Escape what supervisor would expand."""
    return str(text).replace("%", "%%")


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read: it may hold the archive's password."""
    path.touch(mode=0o600)
    path.write_text(text)


def _await_ready(settings: Settings, check: Callable[[], None]) -> None:
    """Return when every port answers; ``ServiceError`` with the end of its log where a service does not start."""
    silent = {
        (settings.pacs.host, urlsplit(settings.pacs.orthanc_url).port or 80),
        *((settings.listener.host, port) for port in settings.listener.ports),
        (settings.api.host, settings.api.port),
    }
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        check()
        # One that answered is left alone: to the listener, each knock is a caller, and it admits only so many.
        silent = {port for port in silent if not _answers(*port)}
        if not silent:
            return
        time.sleep(0.2)
    raise ServiceError(f"The services did not answer within {_READY_SECONDS} s; {settings.data_folder / 'logs'} says why.")


class _Check:
    """Asks the supervisor how the services are; raises ``ServiceError`` where one was given up or ends again and again."""

    def __init__(self, settings: Settings, supervisor: subprocess.Popen[bytes], control: Path) -> None:
        self._logs = settings.data_folder / "logs"
        self._supervisor = supervisor
        self._control = control
        self._starts: dict[str, set[int]] = defaultdict(set)

    def __call__(self) -> None:
        if self._supervisor.poll() is not None:
            raise ServiceError(f"The supervisor ended; {self._logs / 'supervisor.log'} says why.")
        for process in self._processes():
            name, now = str(process["name"]), int(process["now"])
            self._starts[name] = {start for start in (*self._starts[name], int(process["start"])) if now - start < 300}
            if process["statename"] == "FATAL" or len(self._starts[name]) >= _STARTS_IN_FIVE_MINUTES:
                raise ServiceError(f"The service {name} does not start. The end of its log:\n{self._log_end(name)}")

    def _processes(self) -> list[dict[str, Any]]:
        proxy = ServerProxy("http://127.0.0.1", transport=SupervisorTransport(None, None, f"unix://{self._control}"))
        try:
            processes: Any = proxy.supervisor.getAllProcessInfo()
        except (OSError, ValueError):  # it is not up yet
            return []
        return list(processes)

    def _log_end(self, name: str) -> str:
        path = self._logs / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-10:]) if path.exists() else "(no log)"


def _answers(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0
