"""The viewer's installation: once, whole, and only what was published."""

import hashlib
import os
from base64 import b64encode
from pathlib import Path

import pytest

from deploy import ohif


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def stand_in_for_npm(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Puts a program called npm first on the path; the registry is outside of what is tested here."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_what_was_installed_is_used_without_npm(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = cache / f"ohif-{ohif.VERSION}"
    folder.mkdir(parents=True)
    monkeypatch.setenv("PATH", "")
    assert ohif.install(cache) == folder


def test_without_npm_a_sentence_says_what_to_install(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ohif.ViewerNotInstalled, match=r"install Node\.js 20"):
        ohif.install(cache)


def test_without_network_a_sentence_says_so_and_nothing_is_left(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_for_npm(tmp_path / "bin", monkeypatch, "echo 'npm error code ENOTFOUND' >&2; exit 1")
    with pytest.raises(ohif.ViewerNotInstalled, match=r"ENOTFOUND.*try again"):
        ohif.install(cache)
    assert list(cache.iterdir()) == []


def test_another_package_than_the_published_one_is_not_unpacked(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_for_npm(tmp_path / "bin", monkeypatch, "echo tampered > ohif-app.tgz")
    with pytest.raises(ohif.ViewerNotInstalled, match="not the published one"):
        ohif.install(cache)
    assert list(cache.iterdir()) == []


def test_of_the_package_only_the_viewer_is_kept(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dist = tmp_path / "package" / "dist"
    for name in ("index.html", "ort/big.wasm", "dicom-microscopy-viewer/big.js", "assets/icon.png"):
        (dist / name).parent.mkdir(parents=True, exist_ok=True)
        (dist / name).write_text(name)
    (tmp_path / "package" / "package.json").write_text("{}")
    package = tmp_path / "app.tgz"
    assert os.system(f"tar -C {tmp_path} -czf {package} package") == 0
    digest = b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
    monkeypatch.setattr(ohif, "INTEGRITY", f"sha512-{digest}")
    stand_in_for_npm(tmp_path / "bin", monkeypatch, f"cp {package} .")
    folder = ohif.install(cache)
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == ["assets/icon.png", "index.html"]
    assert list(cache.iterdir()) == [folder]
