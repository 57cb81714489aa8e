"""The training cases on disk: shards of scenes with a manifest of hashes, split by patient.

``python -m training.data.cases --out DIR --scenes N --seed S`` makes them; :class:`Cases` reads them. The manifest grows with every
finished shard, so that training can begin while scenes are still being made, and an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, overload

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.progress import Progress
from scipy import ndimage

from ai_engine.model.images import Kind
from training.command import run
from training.data import drr, mimics, slices
from training.data.manifest import ManifestError, read_manifest
from training.data.scene import SIZE, Scene
from training.data.sources import Contoured, Scan, coarser, extended, healed, load_scan, nodule_shapes

Split = Literal["train", "held_out_scenes", "held_out_patient"]
SHARD = 256
PATIENTS: dict[Split, tuple[tuple[str, float], ...]] = {
    "train": (("LIDC-IDRI-0001", 0.7), ("lung1", 0.3)),
    "held_out_scenes": (("LIDC-IDRI-0001", 1.0),),
    "held_out_patient": (("lung2", 1.0),),
}
"""Patients of each split with their share of the shards.

``held_out_scenes`` are new scenes of a patient that training saw; ``held_out_patient`` was never seen.
"""
PROJECTED_SHARE = 0.75
SCENES_PER_POSE = 24
NODULES = 150
DIAMETERS_MM = (14, 40)
_SHAPE_MM = 1.5


@dataclass(frozen=True, eq=False)
class Case:
    """A scene with its name and the patient that it was made from; the rest as :class:`training.data.scene.Scene` has it."""

    name: str
    patient: str
    kind: Kind
    image: NDArray[np.int16]
    masks: dict[str, NDArray[np.bool_]]
    mimics: tuple[str, ...] = ()
    unjudged: frozenset[str] = frozenset()


class Cases(Sequence[Case]):
    """The cases of one split, read from disk when they are asked for."""

    def __init__(self, folder: Path, split: Split, *further: Path) -> None:
        """``folder`` holds ``manifest.json``, and so does each of ``further``; one that is named twice counts twice.

        Raises :class:`training.data.manifest.ManifestError` where one does not, or holds something else than cases.
        """
        self.places: list[tuple[Path, int]] = []
        for each in (folder, *further):
            manifest = read_manifest(each / "manifest.json")
            if not isinstance(manifest, dict) or "shards" not in manifest:
                raise ManifestError(f"{each} holds no cases; training.data.cases makes some, and training.collected of radiographs.")
            shards = [shard for shard in manifest["shards"] if shard["split"] == split]
            self.places += [(each / shard["name"], row) for shard in shards for row in range(shard["scenes"])]

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> Case: ...
    @overload
    def __getitem__(self, index: slice) -> list[Case]: ...
    def __getitem__(self, index: int | slice) -> Case | list[Case]:
        """Read one case."""
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        shard, row = self.places[index]
        return _open_shard(shard).case(row)

    def kind(self, index: int) -> Kind:
        """Whether a case is a slice or a projection, without reading its image."""
        shard, row = self.places[index]
        kind: Kind = _open_shard(shard).index[row]["kind"]
        return kind


class _Shard:
    def __init__(self, folder: Path) -> None:
        self.index = json.loads((folder / "index.json").read_text())
        self.images = np.load(folder / "images.npy", mmap_mode="r")
        self.masks = np.load(folder / "masks.npy", mmap_mode="r")

    def case(self, row: int) -> Case:
        entry = self.index[row]
        height, width = entry["shape"]
        masks = {
            label: np.unpackbits(self.masks[number]).reshape(SIZE, SIZE)[:height, :width].astype(bool)
            for number, label in enumerate(entry["labels"], start=entry["first_mask"])
        }
        return Case(
            entry["name"],
            entry["patient"],
            entry["kind"],
            np.array(self.images[row, :height, :width]),
            masks,
            tuple(entry.get("mimics", ())),
            frozenset(entry.get("unjudged", ())),
        )


_open_shard = lru_cache(maxsize=256)(_Shard)


def write_shard(folder: Path, scenes: Sequence[Scene], patient: str) -> str:
    """Write one shard; return the SHA-256 over its arrays and index."""
    folder.mkdir(parents=True, exist_ok=True)
    images = np.zeros((len(scenes), SIZE, SIZE), np.int16)
    masks: list[NDArray[np.uint8]] = []
    index = []
    for row, scene in enumerate(scenes):
        height, width = scene.image.shape
        images[row, :height, :width] = scene.image
        entry = {"name": f"{folder.name}-{row:03d}", "patient": patient, "kind": scene.kind, "shape": [height, width]}
        told = {"mimics": list(scene.mimics), "unjudged": sorted(scene.unjudged)}
        index.append(entry | {"labels": list(scene.masks), "first_mask": len(masks)} | {name: said for name, said in told.items() if said})
        for mask in scene.masks.values():
            whole = np.zeros((SIZE, SIZE), bool)
            whole[:height, :width] = mask
            masks.append(np.packbits(whole))
    np.save(folder / "images.npy", images)
    np.save(folder / "masks.npy", np.stack(masks) if masks else np.zeros((0, SIZE * SIZE // 8), np.uint8))
    (folder / "index.json").write_text(json.dumps(index))
    whole_hash = hashlib.sha256()
    for name in ("images.npy", "masks.npy", "index.json"):
        whole_hash.update((folder / name).read_bytes())
    return whole_hash.hexdigest()


def grown(nodules: Sequence[Contoured], step_mm: tuple[float, float, float], rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """Real nodules' shapes at diameters that show on a film, as blocks on a grid of ``step_mm``."""
    shapes: list[NDArray[np.bool_]] = []
    for each in nodules:
        block = each.shape(_SHAPE_MM)
        if min(block.shape) < 0.5 * max(block.shape):  # outlines too close together: not a solid
            continue
        growth = rng.uniform(*DIAMETERS_MM) / (_SHAPE_MM * max(block.shape))
        smooth = ndimage.gaussian_filter(
            np.pad(block, 2).astype(np.float32), max(block.shape) / 12
        )  # contours are steps from slice to slice
        shapes.append(ndimage.zoom(smooth, [growth * _SHAPE_MM / size for size in step_mm], order=1) > 0.4)
    return shapes


def scenes_of(
    scan: Scan, kind: Kind, count: int, shapes: list[NDArray[np.bool_]], rng: np.random.Generator, fluid_mimics: bool = False
) -> Iterator[Scene]:
    """Make scenes of one patient; ``shapes`` are nodules on the grid of a posed body, or of the scan for slices.

    With ``fluid_mimics`` every radiograph is one of :mod:`training.data.mimics`.
    """
    if kind == "ct":
        for _ in range(count):
            yield slices.scene(scan, shapes, rng)
        return
    for first in range(0, count, SCENES_PER_POSE):
        body = drr.pose(scan, rng, turned=mimics.TURNED if fluid_mimics and rng.random() < 0.5 else 1.0)
        for _ in range(min(SCENES_PER_POSE, count - first)):
            yield (mimics.scene if fluid_mimics else drr.scene)(body, shapes, rng)


def plan(train: int, held_out: int, projected_share: float = PROJECTED_SHARE) -> list[tuple[Split, str, Kind, int]]:
    """The shards to make: split, patient, kind and number of scenes, kinds and patients interleaved."""
    shards: list[tuple[Split, str, Kind, int]] = []
    order: tuple[Split, ...] = ("held_out_scenes", "held_out_patient", "train")
    for split in order:
        wanted = train if split == "train" else held_out
        owed: dict[tuple[str, Kind], float] = defaultdict(float)
        while wanted > 0:
            for patient, share in PATIENTS[split]:
                owed[patient, "projection"] += share * projected_share
                owed[patient, "ct"] += share * (1 - projected_share)
            patient, kind = max(owed, key=lambda key: owed[key])
            owed[patient, kind] -= 1
            size = min(SHARD if split == "train" else 64, wanted)
            shards.append((split, patient, kind, size))
            wanted -= size
    return shards


@dataclass(frozen=True)
class _Order:
    """One shard to make."""

    folder: Path
    sources: Path
    patient: str
    kind: Kind
    scenes: int
    seed: tuple[int, int]
    fluid_mimics: bool

    def make(self) -> str:
        """Write the shard; return its hash."""
        torch.set_num_threads(1)
        scan = scan_of(self.patient, self.kind, self.sources)
        shapes = shapes_on(drr.STEP_MM if self.kind == "projection" else scan.spacing_mm, self.sources)
        made = scenes_of(scan, self.kind, self.scenes, shapes, np.random.default_rng(self.seed), self.fluid_mimics)
        return write_shard(self.folder, list(made), self.patient)


@cache
def scan_of(patient: str, kind: Kind, sources: Path) -> Scan:
    """A patient's CT without the lesion, at half the resolution in the plane; lengthened where it is to be projected."""
    if kind == "projection":
        return extended(scan_of(patient, "ct", sources))
    return coarser(healed(load_scan(patient, sources)))


@cache
def shapes_on(step_mm: tuple[float, float, float], sources: Path) -> list[NDArray[np.bool_]]:
    """The nodules that are put in, as blocks on a grid of ``step_mm``."""
    return grown(nodule_shapes(sources, NODULES, seed=0), step_mm, np.random.default_rng(0))


def make(out: Path, sources: Path, train: int, held_out: int, seed: int, processes: int = 1, fluid_mimics: bool = False) -> None:
    """Make all shards that ``out`` does not hold yet, several at a time. The same arguments make the same bytes.

    With ``fluid_mimics`` all are radiographs on which something looks like fluid.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / "manifest.json"
    manifest: Any = read_manifest(path) if path.exists() else {"seed": seed, "shards": []}
    if manifest["seed"] != seed:
        raise ManifestError(f"{out} was made with seed {manifest['seed']}; choose another folder.")
    done = {shard["name"] for shard in manifest["shards"]}
    waiting: dict[Future[str], dict[str, Any]] = {}
    shards = plan(train, held_out, 1.0 if fluid_mimics else PROJECTED_SHARE)
    with Progress() as progress, ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        task = progress.add_task("scenes", total=sum(count for *_, count in shards))
        for number, (split, patient, kind, count) in enumerate(shards):
            name = f"{split}-{number:04d}"
            if name in done:
                progress.advance(task, count)
                continue
            order = _Order(out / name, sources, patient, kind, count, (seed, number), fluid_mimics)
            waiting[pool.submit(order.make)] = {"name": name, "split": split, "patient": patient, "kind": kind, "scenes": count}
        for finished in as_completed(waiting):
            manifest["shards"].append(waiting[finished] | {"sha256": finished.result()})
            manifest["shards"].sort(key=lambda shard: str(shard["name"]).rsplit("-", 1)[1])
            partial = path.with_suffix(".partial")
            partial.write_text(json.dumps(manifest, indent=1))
            partial.replace(path)
            progress.advance(task, waiting[finished]["scenes"])


def main(
    out: Annotated[Path, typer.Option(help="Folder of the shards.")],
    sources: Annotated[Path, typer.Option(help="Folder of the downloaded packages.")] = Path("var/sources"),
    scenes: Annotated[int, typer.Option(help="Training scenes.")] = 9000,
    held_out: Annotated[int, typer.Option(help="Scenes of each held-out split.")] = 192,
    seed: Annotated[int, typer.Option(help="The same one makes the same bytes.")] = 0,
    processes: Annotated[int, typer.Option(help="Shards made at the same time.")] = 1,
    fluid_mimics: Annotated[bool, typer.Option("--fluid-mimics", help="Radiographs alone, on which something looks like fluid.")] = False,
) -> None:
    """Make cases."""
    make(out, sources, scenes, held_out, seed, processes, fluid_mimics)


if __name__ == "__main__":
    run(main)
