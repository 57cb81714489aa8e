"""Installs the viewer: the prebuilt OHIF from npm, as published, without the parts that Sightline never loads.

    python -m deploy.ohif [CACHE_FOLDER]

The package is checked against the SHA-512 below before anything is unpacked. A second run finds the folder and needs no network.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "3.13.2"
INTEGRITY = "sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="
"""The ``dist.integrity`` that the npm registry states for this version."""

CACHE_FOLDER = Path("var/cache")
_DIST = "package/dist/"
_LEFT_OUT = ("ort/", "dicom-microscopy-viewer/")
"""ONNX Runtime (136 MB, for OHIF's own segmentation assistant) and the microscopy viewer: neither is ever requested."""


class ViewerNotInstalled(Exception):
    """The viewer cannot be installed; the message is one sentence that says what to do."""


def install(cache_folder: Path = CACHE_FOLDER) -> Path:
    """Return the folder with OHIF's ``index.html``, installing it below ``cache_folder`` first where it is not there.

    Raises:
        ViewerNotInstalled: npm is missing or cannot reach its registry, the disk is full, or the package is not the one pinned here.
    """
    folder = cache_folder / f"ohif-{VERSION}"
    if folder.is_dir():
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise ViewerNotInstalled("npm is not installed, and the viewer is not in the cache yet: install Node.js 20 with npm.")
    try:
        cache_folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache_folder, prefix="ohif-") as name:
            _unpack(_download(npm, Path(name)), Path(name) / "dist")
            try:
                (Path(name) / "dist").rename(folder)  # whole or not at all
            except OSError:
                if not folder.is_dir():  # else another process was faster
                    raise
    except OSError as error:
        raise ViewerNotInstalled(f"The viewer cannot be unpacked into {cache_folder}: {error.strerror}; it needs 120 MB.") from error
    return folder


def _download(npm: str, folder: Path) -> Path:
    command = [npm, "pack", "--silent", f"@ohif/app@{VERSION}"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    packages = list(folder.glob("*.tgz"))
    if run.returncode or len(packages) != 1:
        reason = next((line for line in reversed(run.stderr.splitlines()) if line.startswith("npm error")), "no network?")
        raise ViewerNotInstalled(f"npm could not download @ohif/app@{VERSION} ({reason}); connect to the npm registry once and try again.")
    digest = "sha512-" + base64.b64encode(hashlib.sha512(packages[0].read_bytes()).digest()).decode()
    if digest != INTEGRITY:
        raise ViewerNotInstalled(f"The package that npm gave for @ohif/app@{VERSION} is not the published one ({digest}); it is not used.")
    return packages[0]


def _unpack(package: Path, folder: Path) -> None:
    with tarfile.open(package) as archive:
        for member in archive:
            path = member.name.removeprefix(_DIST)
            content = archive.extractfile(member) if member.isfile() else None
            if content and member.name.startswith(_DIST) and not path.startswith(_LEFT_OUT):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(content.read())


if __name__ == "__main__":
    try:
        print(install(*map(Path, sys.argv[1:2])))
    except ViewerNotInstalled as error:
        sys.exit(str(error))
