"""How fast a large Segmentation is made, and with how much memory, against highdicom on its own.

``python -m benchmarks.seg [--runs N] [--json FILE]`` makes a CT of 300 slices of 512 x 512 with 20 organs, round ones of all sizes
that do not touch, and writes them as a BINARY Segmentation in three ways, each in a process of its own: with Sightline, with
highdicom given all masks as one array (slice, row, column, segment), and with highdicom given one array of segment numbers,
which masks that overlap do not allow. The limits: against the first array at least 3 times the speed, or at most a third of the
memory; and the same frames, pixel for pixel. Seconds are of the processor, as each writer has one thread and the machine may be busy.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import highdicom as hd
import numpy as np
import psutil
from numpy.typing import NDArray
from pydicom import Dataset, dcmwrite
from pydicom.sr.codedict import codes
from rich.console import Console
from rich.table import Table

from dicom_sr import seg
from dicom_sr.identity import Maker, as_written
from dicom_sr.kinds import SEGMENTATION
from radiology.finding import Box, Finding, Region
from radiology.settings import ResultSettings
from radiology.study import Study
from tests.dicom_sr.reports import report_on
from tests.dicom_sr.sources import CT_SERIES_UID, ct_series

SIZE = SLICES, ROWS, COLUMNS = 300, 512, 512
ORGANS = 20
SPEEDUP, MEMORY = 3.0, 1 / 3
OURS, MASKS, NUMBERS = WRITERS = ("sightline", "highdicom, array of masks", "highdicom, array of numbers")


@dataclass(frozen=True)
class Run:
    """One Segmentation made: processor seconds to make it and to save it, peak memory of the process, and what it holds."""

    seconds: float
    saving_seconds: float
    memory_mib: float
    frames: int
    digest: str


def main() -> None:
    """Command line; exits 1 where a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rounds: list[dict[str, Run]] = []
    for _ in range(arguments.runs):
        # A process for each, as its peak memory is that of all that it ever did.
        with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
            rounds.append(dict(zip(WRITERS, pool.map(measure, WRITERS), strict=True)))
    figures = summary(rounds)
    _print(rounds, figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    fast, small = figures["speedup"]["median"] >= SPEEDUP, figures["memory_ratio"]["median"] <= MEMORY  # type: ignore[index]
    sys.exit(0 if figures["identical"] and (fast or small) else 1)


def measure(writer: str) -> Run:
    """Make the Segmentation once, in a process that has done nothing else."""
    study = Study.from_instances(ct_series(*SIZE))
    regions = organs()
    # Arrays are made before the clock starts: whoever has the masks in that form did not have to make it.
    make = (
        partial(with_sightline, study, regions) if writer == OURS else partial(with_highdicom, study, ARRAYS[writer](regions, SIZE), ORGANS)
    )
    started = time.process_time()
    segmentation = make()
    made = time.process_time()
    with tempfile.NamedTemporaryFile() as file:
        dcmwrite(file.name, segmentation, enforce_file_format=True)
    saved = time.process_time()
    return Run(
        made - started,
        saved - made,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        int(segmentation.NumberOfFrames),
        digest(segmentation),
    )


def organs() -> list[Region]:
    """Ellipsoids, each in its own field of the plane."""
    chance = np.random.default_rng(0)
    regions = []
    for number in range(ORGANS):
        depth, height, width = (int(chance.integers(*ends)) for ends in ((30, SLICES), (40, 120), (40, 98)))
        start = int(chance.integers(0, SLICES - depth + 1)), 4 + 128 * (number // 5), 2 + 102 * (number % 5)
        along, down, across = np.ogrid[-1 : 1 : depth * 1j, -1 : 1 : height * 1j, -1 : 1 : width * 1j]
        mask = along**2 + down**2 + across**2 <= 1
        stop = start[0] + depth, start[1] + height, start[2] + width
        regions.append(Region(CT_SERIES_UID, Box(start, stop), mask))
    return regions


def with_sightline(study: Study, regions: Sequence[Region]) -> Dataset:
    """As the worker writes it."""
    report = as_written(report_on(study, Finding("lung", "Lungs.", regions=tuple(regions))))
    (source,) = seg.sources(study, report.findings)
    return seg.build(source, SEGMENTATION.series_number, Maker(report, study.series[0].instances[0], "ISO_IR 192", ResultSettings()))


def with_highdicom(study: Study, masks: NDArray[np.uint8], segments: int) -> Dataset:
    """As highdicom's documentation shows it."""
    algorithm = hd.AlgorithmIdentificationSequence(name="benchmark", version="1", family=codes.DCM.ArtificialIntelligence)
    return hd.seg.Segmentation(
        source_images=study.series[0].instances,
        pixel_array=masks,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            hd.seg.SegmentDescription(
                number,
                "Lung",
                codes.SCT.AnatomicalStructure,
                codes.SCT.Lung,
                hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
                algorithm,
                tracking_uid=hd.UID(),
                tracking_id=f"Finding 1, place {number}",
            )
            for number in range(1, segments + 1)
        ],
        series_instance_uid=hd.UID(),
        series_number=1,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="benchmark",
        manufacturer_model_name="benchmark",
        software_versions="1",
        device_serial_number="1",
    )


def array_of_masks(regions: Sequence[Region], size: tuple[int, int, int]) -> NDArray[np.uint8]:
    """All masks, (slice, row, column, segment)."""
    array = np.zeros((*size, len(regions)), np.uint8)
    for index, region in enumerate(regions):
        array[(*region.box.slices, index)] = np.asarray(region.mask)
    return array


def array_of_numbers(regions: Sequence[Region], size: tuple[int, int, int]) -> NDArray[np.uint8]:
    """The number of the segment of each voxel, (slice, row, column)."""
    array = np.zeros(size, np.uint8)
    for number, region in enumerate(regions, 1):
        array[region.box.slices][np.asarray(region.mask)] = number
    return array


ARRAYS: dict[str, Callable[[Sequence[Region], tuple[int, int, int]], NDArray[np.uint8]]] = {
    MASKS: array_of_masks,
    NUMBERS: array_of_numbers,
}


def digest(segmentation: Dataset) -> str:
    """Of all pixels, and of segment, source image and position of each frame."""
    hashed = hashlib.sha256(segmentation.PixelData)
    for frame in segmentation.PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        number = frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        place = frame.PlanePositionSequence[0].ImagePositionPatient
        hashed.update(f"{number} {source.ReferencedSOPClassUID} {source.ReferencedSOPInstanceUID} {list(place)}".encode())
    return hashed.hexdigest()


def summary(rounds: Sequence[dict[str, Run]]) -> dict[str, object]:
    """The figures of ``--json``; ratios are formed within a round."""
    ours, masks, numbers = ([runs[writer] for runs in rounds] for writer in WRITERS)
    return {
        "machine": f"{platform.machine()}, {psutil.cpu_count()} cores, {psutil.virtual_memory().total >> 30} GiB",
        "size": f"{SLICES} x {ROWS} x {COLUMNS}, {ORGANS} segments, {ours[0].frames} frames",
        "runs": len(rounds),
        "speedup": _spread([one.seconds / run.seconds for one, run in zip(masks, ours, strict=True)]),
        "speedup_with_saving": _spread(
            [(one.seconds + one.saving_seconds) / (run.seconds + run.saving_seconds) for one, run in zip(masks, ours, strict=True)]
        ),
        "memory_ratio": _spread([run.memory_mib / one.memory_mib for one, run in zip(masks, ours, strict=True)]),
        "speedup_over_numbers": _spread([one.seconds / run.seconds for one, run in zip(numbers, ours, strict=True)]),
        "memory_ratio_to_numbers": _spread([run.memory_mib / one.memory_mib for one, run in zip(numbers, ours, strict=True)]),
        "identical": len({run.digest for runs in rounds for run in runs.values()}) == 1,
        "seconds": {writer: _spread([runs[writer].seconds for runs in rounds]) for writer in WRITERS},
        "saving_seconds": {writer: _spread([runs[writer].saving_seconds for runs in rounds]) for writer in WRITERS},
        "memory_mib": {writer: _spread([runs[writer].memory_mib for runs in rounds]) for writer in WRITERS},
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"min": round(min(values), 3), "median": round(statistics.median(values), 3), "max": round(max(values), 3)}


def _print(rounds: Sequence[dict[str, Run]], figures: dict[str, object]) -> None:
    table = Table(
        "writer", "processor s", "saving s", "peak MiB", title=f"{figures['size']}; {figures['machine']}; medians of {len(rounds)}"
    )
    for writer in WRITERS:
        columns = ([getattr(runs[writer], name) for runs in rounds] for name in ("seconds", "saving_seconds", "memory_mib"))
        table.add_row(writer, *(f"{statistics.median(column):.1f}" for column in columns))
    console = Console()
    console.print(table)
    for key in ("speedup", "speedup_with_saving", "memory_ratio", "speedup_over_numbers", "memory_ratio_to_numbers", "identical"):
        console.print(key, figures[key])


if __name__ == "__main__":
    main()
