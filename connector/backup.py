"""A backup of one installation, and its return to an empty place.

    FOLDER/manifest.json     what there is, written last: a backup without it is not whole
    FOLDER/ledger.sqlite     or ledger.dump, as pg_dump writes it
    FOLDER/spool/            what the archive did not have yet, and the record of what it was given
    FOLDER/archive/          Orthanc's index, and every file that the index names

They are copied in this order, so that each knows no more than what is copied after it: a ledger that is older than the archive finds
there what it does not know, and what the listener remembers to have given away is in the archive's copy. The other way round a study
could be taken for stored that is nowhere. Orthanc holds its index locked, so it is stopped until that is copied; its files never change.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from connector.audit import Audit
from connector.database import Database
from connector.tables import audit
from radiology.errors import BackupError
from radiology.settings import Settings

_MANIFEST, _SQLITE, _DUMP = "manifest.json", "ledger.sqlite", "ledger.dump"
_SPOOL_FOLDERS = ("waiting", "refused", "quarantine")
_GIVEN = "given.sqlite"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Manifest:
    """What a backup has.

    Attributes:
        made: when it was begun, ISO 8601.
        audit_entries: entries of the audit trail at that time.
        audit_hash: hash of the last of them.
        spool_files: files that the archive did not have yet.
        archive_files: files of the archive; None where the archive has a backup of its own.
        digests: SHA-256 of every file but those that the archive's index names with their MD5.
    """

    made: str
    audit_entries: int
    audit_hash: str
    spool_files: int
    archive_files: int | None
    digests: dict[str, str]

    def __str__(self) -> str:
        archive = "no archive" if self.archive_files is None else f"{self.archive_files} files of the archive"
        return f"The ledger with {self.audit_entries} entries of its audit trail, {self.spool_files} files of the spool and {archive}"


def save(settings: Settings, folder: Path, archive: Path | None, say: Say) -> Manifest:
    """Copy ledger, spool and archive into ``folder``, which is made, and check what was written.

    Args:
        settings: of the installation; its services may run.
        folder: where to; must not be there yet.
        archive: Orthanc's folder, while Orthanc is stopped; None leaves the archive out.
        say: is told in a sentence when the archive may run again.

    Raises:
        BackupError: there is something at ``folder``, Orthanc runs, or a copy is not like what it was made of.
        LedgerError: the ledger cannot be read, or its audit trail was changed.
    """
    with _translated(folder):
        if archive is not None:
            _refuse_running(archive)
        folder.mkdir(parents=True)
        made = datetime.now(UTC).isoformat(timespec="seconds")
        entries, newest = _verified(settings.ledger_url)
        _dump(settings.ledger_url, folder)
        spool_files = _copy_spool(settings.data_folder / "spool", folder / "spool")
        archive_files = None
        if archive is not None:
            (folder / "archive").mkdir()
            _copy_database(archive / "index", folder / "archive" / "index")
            say("The archive may run again; its files are copied now.")
            archive_files = _copy_attachments(folder / "archive" / "index", archive, folder / "archive")
        written = [folder / _SQLITE, folder / _DUMP, folder / "archive" / "index", *(folder / "spool").rglob("*")]
        digests = {str(path.relative_to(folder)): _digest(path, "sha256") for path in written if path.is_file()}
        manifest = Manifest(made, entries, newest, spool_files, archive_files, digests)
        (folder / _MANIFEST).write_text(json.dumps(asdict(manifest), indent=1) + "\n")
        os.sync()
    return manifest


def restore(settings: Settings, folder: Path, archive: Path | None) -> Manifest:
    """Bring a backup back to where the settings say, before any service is started there, and check what was written.

    Args:
        settings: of the new installation: an empty data folder, an empty ledger.
        folder: the backup.
        archive: Orthanc's new folder, empty; None leaves the archive as it is.

    Raises:
        BackupError: the backup is not whole, there is something already where it should go, or a copy is not like the backup.
        LedgerError: the new ledger cannot be reached, or is not the one that was saved.
    """
    with _translated(folder):
        manifest = _manifest_of(folder)
        if archive is not None and manifest.archive_files is None:
            raise BackupError(f"{folder} has no archive; leave --archive out.")
        spool = settings.data_folder / "spool"
        for place in filter(None, (spool, archive)):
            if place.exists() and any(place.iterdir()):
                raise BackupError(f"There is something in {place}; restore to an empty place, before the services are started.")
        _load(settings.ledger_url, folder)
        entries, _ = _verified(settings.ledger_url)
        if entries < manifest.audit_entries or _hash_of(settings.ledger_url, manifest.audit_entries) != manifest.audit_hash:
            raise BackupError("The audit trail that came back is not the one that was saved; take another backup.")
        _copy_spool(folder / "spool", spool)
        if archive is not None:
            archive.mkdir(parents=True, exist_ok=True)
            _copy_attachments(folder / "archive" / "index", folder / "archive", archive)
            _copy_database(folder / "archive" / "index", archive / "index")
        for place in filter(None, (settings.data_folder, archive)):
            _give_to_owner(place)
        os.sync()
    return manifest


def _manifest_of(folder: Path) -> Manifest:
    if not (folder / _MANIFEST).exists():
        raise BackupError(f"{folder} is no whole backup: it has no {_MANIFEST}; take another one.")
    manifest = Manifest(**json.loads((folder / _MANIFEST).read_text()))
    for name, digest in manifest.digests.items():
        if not (folder / name).exists() or _digest(folder / name, "sha256") != digest:
            raise BackupError(f"{folder / name} is not as it was written; take another backup.")
    return manifest


# The ledger ---------------------------------------------------------------------------------------------------------


def _verified(url: str) -> tuple[int, str]:
    """Return how many entries the audit trail has, and the hash of the newest."""
    with closing(Database(url)) as database:
        return Audit(database).verify()


def _hash_of(url: str, number: int) -> str:
    with closing(Database(url)) as database:
        rows = database.rows(sa.select(audit.c.hash).where(audit.c.number == number))
        return str(rows[0].hash) if rows else Audit(database).verify()[1]


def _dump(url: str, folder: Path) -> None:
    if sa.make_url(url).get_backend_name() == "sqlite":
        _copy_database(Path(sa.make_url(url).database or ""), folder / _SQLITE)
        return
    _postgres("pg_dump", url, "--format=custom", f"--file={folder / _DUMP}")
    _run("pg_restore", {}, "--list", str(folder / _DUMP))


def _load(url: str, folder: Path) -> None:
    place = sa.make_url(url)
    is_sqlite = place.get_backend_name() == "sqlite"
    if not (folder / (_SQLITE if is_sqlite else _DUMP)).exists():
        raise BackupError(f"{folder} is of another kind of database; set SIGHTLINE_LEDGER__URL to one of the same kind.")
    if is_sqlite:
        if Path(place.database or "").exists():
            raise BackupError(f"There is a ledger at {place.database}; restore to an empty place, before the services are started.")
        Path(place.database or "").parent.mkdir(parents=True, exist_ok=True)
        _copy_database(folder / _SQLITE, Path(place.database or ""))
        return
    engine = sa.create_engine(place)
    try:
        tables = sa.inspect(engine).get_table_names()
    finally:
        engine.dispose()
    if tables:
        raise BackupError(f"The database {place.database} has tables; restore to an empty one, before the services are started.")
    _postgres("pg_restore", url, "--exit-on-error", "--single-transaction", "--no-owner", str(folder / _DUMP))


def _postgres(program: str, url: str, *arguments: str) -> None:
    place = sa.make_url(url)
    named = place.set(drivername="postgresql", password=None).render_as_string()
    _run(program, {"PGPASSWORD": place.password} if place.password else {}, f"--dbname={named}", *arguments)


def _run(program: str, variables: dict[str, str], *arguments: str) -> None:
    """Run a program of PostgreSQL's; its password is in no argument, which others could see."""
    try:
        run = subprocess.run([program, *arguments], env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise BackupError(f"{program} is missing; run: apt-get install postgresql-client") from error
    if run.returncode:
        raise BackupError(f"{program} failed: {run.stderr.strip().splitlines()[-1] if run.stderr.strip() else 'it does not say why'}")


# Spool and archive --------------------------------------------------------------------------------------------------


def _copy_spool(source: Path, target: Path) -> int:
    """Copy what waits and what is set aside, then the record of what was given; return the number of files."""
    count = 0
    for name in _SPOOL_FOLDERS:
        for path in sorted((source / name).glob("*/*")):
            with suppress(FileNotFoundError):  # it was forwarded just now, so the archive has it
                (target / name / path.parent.name).mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, target / name / path.parent.name / path.name)
                count += 1
    target.mkdir(parents=True, exist_ok=True)
    if (source / _GIVEN).exists():
        _copy_database(source / _GIVEN, target / _GIVEN)
    return count


def _refuse_running(archive: Path) -> None:
    if not (archive / "index").exists():
        raise BackupError(f"{archive} is no folder of Orthanc's: it has no index.")
    try:
        with closing(sqlite3.connect(archive / "index", timeout=1)) as index:
            index.execute("BEGIN IMMEDIATE")
            index.rollback()
    except sqlite3.OperationalError as error:
        raise BackupError(
            f"Orthanc's index cannot be copied ({error}); stop Orthanc first, the listener keeps what comes meanwhile."
        ) from error


def _copy_database(source: Path, target: Path) -> None:
    """Copy an SQLite database as it is at one moment, whoever writes to it, into one file."""
    with closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as original, closing(sqlite3.connect(target)) as copy:
        original.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # without it the copy could not be read where nothing may be written
        if (said := copy.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
            raise BackupError(f"The copy of {source} is broken: {said}.")


def _copy_attachments(index: Path, source: Path, target: Path) -> int:
    """Copy the files that Orthanc's index names, each checked against it; return their number."""
    with closing(sqlite3.connect(f"{index.resolve().as_uri()}?mode=ro", uri=True)) as database:
        named = database.execute("SELECT uuid, compressedSize, compressedMD5 FROM AttachedFiles").fetchall()
    for uuid, size, md5 in named:
        place = Path(uuid[:2], uuid[2:4], uuid)
        if not (source / place).exists():
            raise BackupError(f"{source / place} is missing; if its study was deleted just now, take another backup.")
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / place, target / place)
        if (target / place).stat().st_size != size or (md5 and _digest(target / place, "md5") != md5):
            raise BackupError(f"{source / place} is not what Orthanc wrote; its disk, or the copy's, is ill.")
    return len(named)


def _give_to_owner(folder: Path) -> None:
    """Give all that was brought back to who owns its folder; only root can, and has to."""
    if os.getuid() == 0:
        owner = folder.stat()
        for path in folder.rglob("*"):
            os.chown(path, owner.st_uid, owner.st_gid)


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


@contextmanager
def _translated(folder: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise BackupError(f"There is something at {folder} already; a backup overwrites nothing, name another place.") from error
    except (OSError, sqlite3.Error) as error:
        raise BackupError(f"The copy stopped: {error}; see that both disks are well and have room, and start anew.") from error
