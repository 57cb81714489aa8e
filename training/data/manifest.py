"""What a folder of cases holds, file by file with its hash, and on which side of which split every patient is.

A split is a property of the patient, not of the image: it follows from the patient's own identifier, so that an image that arrives later
joins the others of its patient.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from radiology.errors import SightlineError


class ManifestError(SightlineError):
    """A folder is not what its manifest says, or a patient is on both sides of a split."""


def read_manifest(path: Path) -> Any:
    """The JSON of ``path``; raises :class:`ManifestError` where it is missing or broken."""
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise ManifestError(f"{path} cannot be read ({error.strerror}); name a folder that holds it.") from error
    except ValueError as error:
        raise ManifestError(f"{path} is not JSON ({error}); make it again.") from error


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def split_of(patient: str, shares: Mapping[str, float], seed: int = 0) -> str:
    """The split that a patient belongs to, always the same one.

    ``shares`` are the splits with the share of the patients that each is to get, ``{"train": 0.8, "held_out": 0.2}``.
    """
    drawn = int.from_bytes(hashlib.sha256(f"{seed}:{patient}".encode()).digest()[:8]) / 2**64 * sum(shares.values())
    for split, share in shares.items():
        drawn -= share
        if drawn < 0:
            return split
    return split


def check_patients(placed: Iterable[tuple[str, str]]) -> None:
    """Raise :class:`ManifestError` where a patient is in two splits. ``placed``: pairs of patient and split."""
    splits: dict[str, set[str]] = defaultdict(set)
    for patient, split in placed:
        splits[patient].add(split)
    torn = {patient: sorted(names) for patient, names in splits.items() if len(names) > 1}
    if torn:
        named = "; ".join(f"{patient}: {', '.join(names)}" for patient, names in sorted(torn.items()))
        raise ManifestError(f"{len(torn)} patients are in more than one split ({named}); split by patient again.")


def check_files(folder: Path, hashes: Mapping[str, str]) -> None:
    """Raise :class:`ManifestError` where a file is missing or has changed. ``hashes``: SHA-256 by path below ``folder``."""
    missing = [name for name in hashes if not (folder / name).is_file()]
    changed = [name for name, digest in hashes.items() if name not in missing and file_hash(folder / name) != digest]
    if missing or changed:
        raise ManifestError(f"{folder} lacks {missing} and has changed in {changed}; make it again.")
