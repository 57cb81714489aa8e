"""The judges of the gate: each takes cases, and tells of every object that it can judge what is wrong with it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import numpy as np
import SimpleITK
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from scipy.spatial import cKDTree

import dicom_sr
from connector.pacs import Pacs
from dicom_sr.kinds import KINDS, SEGMENTATION
from radiology.errors import StudyError
from radiology.finding import Region
from tests.dicom_sr.cases import Case
from tests.dicom_sr.ohif import open_in_ohif, wrong_boxes, wrong_masks
from tests.dicom_sr.outside import ask, complaints, program, run
from tests.orthanc import Orthanc

Complaints = dict[Path, list[str]]
"""What is wrong with each object that was judged; an empty list where nothing is."""

DOCUMENTS = tuple(kind.name for kind in KINDS if kind is not SEGMENTATION)
UNCHECKED = ("does not support this Specific Character Set: ISO_IR 192", "template constraints not yet supported")
"""What dsrdump warns that it does not check."""
SHEARED = "CT, tilted gantry"
"""Slices that are shifted against each other are no image of ITK's: dcmqi says so and writes none."""


def _each(judge: Callable[[Case, Path], list[str]], cases: Sequence[Case], kinds: Sequence[str]) -> Complaints:
    """Ask about single objects, on all cores."""
    found = [(case, path) for case in cases for path in case.of_kind(*kinds)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip((path for _, path in found), pool.map(lambda pair: judge(*pair), found), strict=True))


def dciodvfy(cases: Sequence[Case]) -> Complaints:
    """dicom3tools: modules, attributes and values of the class; warnings count."""
    return _each(lambda case, path: complaints(path), cases, [kind.name for kind in KINDS])


def dcentvfy(cases: Sequence[Case]) -> Complaints:
    """dicom3tools: patient, study and series are the same in images and results."""
    found: Complaints = {}
    for case in cases:
        _, said = ask(program("dcentvfy", "the Python package dicom3tools"), *case.images, *case.files)
        # Its view of Accession Number is that of a study; in a report the attribute stands in the request as well.
        wrong = [line for line in said.splitlines() if line.startswith("Error") or "AccessionNumber" not in line]
        found |= dict.fromkeys(case.files, wrong)
    return found


def dsrdump(cases: Sequence[Case]) -> Complaints:
    """DCMTK: the content tree is complete and its relationships are allowed."""

    def judge(case: Case, path: Path) -> list[str]:
        status, said = ask(program("dsrdump", "the Debian package dcmtk"), "-Ei", "+Pn", "+Pl", path)
        lines = [line for line in said.splitlines() if line[:2] in {"E:", "W:", "F:"} and not line.endswith(UNCHECKED)]
        return lines + ([f"status {status}"] if status else [])

    return _each(judge, cases, DOCUMENTS)


def tid1500reader(cases: Sequence[Case]) -> Complaints:
    """dcmqi: every measurement group is read, with its Tracking UID."""

    def judge(case: Case, path: Path) -> list[str]:
        output = case.folder / f"{path.stem}.json"
        reader = program("tid1500reader", "the Python package dcmqi")
        status, said = ask(reader, "--inputDICOM", path, "--outputMetadata", output)
        if status:
            return [said.strip()]
        read = [group["TrackingUniqueIdentifier"] for group in json.loads(output.read_text()).get("Measurements", [])]
        wanted = [
            str(item.UID)
            for item in _items(dcmread(path))
            if item.ValueType == "UIDREF" and item.ConceptNameCodeSequence[0].CodeValue == "112040"
        ]
        return [] if read == wanted else [f"{read} were read of {wanted}"]

    return _each(judge, cases, ["findings", "measurements", "failure"])


def segimage2itkimage(cases: Sequence[Case]) -> Complaints:
    """dcmqi: the marked voxels lie at the same positions, in millimetres, as those of the report."""

    def judge(case: Case, path: Path) -> list[str]:
        with TemporaryDirectory() as folder:
            reader = program("segimage2itkimage", "the Python package dcmqi")
            status, said = ask(reader, "--inputDICOM", path, "--outputDirectory", folder, "--outputType", "nrrd")
            if status:
                return [said.strip()]
            found = np.concatenate([_marked(file) for file in sorted(Path(folder).glob("*.nrrd"))])
        segments = dcmread(path, stop_before_pixels=True).SegmentSequence
        wanted = np.concatenate([_positions(case, case.regions[each.TrackingUID]) for each in segments if "TrackingUID" in each])
        if not _same_places(found, wanted):
            return [f"{len(found)} marked voxels were read, not the {len(wanted)} that were written, or elsewhere"]
        return []

    return _each(judge, [case for case in cases if case.source != SHEARED], ["segmentation"])


def _marked(file: Path) -> NDArray[np.float64]:
    """Positions of all voxels that are not 0, (voxel, 3)."""
    image = SimpleITK.ReadImage(file)
    indices = np.argwhere(SimpleITK.GetArrayFromImage(image) > 0)[:, ::-1]
    axes = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    return np.asarray(indices @ axes.T + image.GetOrigin(), float)


def _positions(case: Case, region: Region) -> NDArray[np.float64]:
    """Positions of a region's voxels by PS3.3 equation C.7.6.2.1-1, (voxel, 3); for a radiograph from its own corner."""
    places = []
    mask = np.asarray(region.mask)
    for plane, frame in zip(mask, case.study.find_series(region.series_uid).frames[region.box.slices[0]], strict=True):
        header = frame.header
        origin = np.asarray(header.get("ImagePositionPatient") or [0, 0, 0], float)
        across, down = np.reshape(np.asarray(header.get("ImageOrientationPatient") or [1, 0, 0, 0, 1, 0], float), (2, 3))
        row_mm, column_mm = (float(value) for value in header.get("PixelSpacing") or header.ImagerPixelSpacing)
        rows, columns = (np.argwhere(plane) + region.box.start[1:]).T[..., None]
        places.append(origin + across * column_mm * columns + down * row_mm * rows)
    return np.concatenate(places)


def _same_places(found: NDArray[np.float64], wanted: NDArray[np.float64]) -> bool:
    """Whether each place was found as often as it was marked, within 2 micrometres."""
    places, times = np.unique(wanted, axis=0, return_counts=True)
    _, nearest = cKDTree(places).query(found, distance_upper_bound=2e-3)
    return np.array_equal(np.bincount(nearest, minlength=len(places)), times)


def pixelmed(cases: Sequence[Case]) -> Complaints:
    """PixelMed's DicomSRValidator: the templates, row by row; the criterion of IHE AIR."""
    files = [path for case in cases for path in case.of_kind(*DOCUMENTS)]
    said = json.loads(run(sys.executable, "-m", "tests.dicom_sr.pixelmed", *files).splitlines()[-1])
    return {path: [line for line in said[str(path)].splitlines() if line.startswith("Error")] for path in files}


def ohif(cases: Sequence[Case]) -> Complaints:
    """The adapters that OHIF ships: every box hydrates once with its sentence, every mask opens pixel for pixel."""
    found: Complaints = {}
    for case, opened in zip(cases, open_in_ohif([case.folder for case in cases]), strict=True):
        for path, report in zip(case.of_kind("findings"), (report for report in case.reports if report.is_read), strict=True):
            found[path] = wrong_boxes(case.study, report, opened["measurements"][path.name])
        found |= {path: wrong_masks(case, path, opened["masks"][path.name]) for path in case.of_kind("segmentation")}
    return found


def reading(cases: Sequence[Case]) -> Complaints:
    """Ourselves: what is read is what was written, boxes and masks exact."""
    found: Complaints = {}
    for case in cases:
        try:
            current = dicom_sr.current([dcmread(path) for path in case.files], case.study)
            same = (current.report if current else None) == case.in_force
            wrong = [] if same else ["the report that is read is not the one in force"]
        except StudyError as error:
            wrong = [str(error)]
        found |= dict.fromkeys(case.files, wrong)
    return found


def stow_rs(cases: Sequence[Case]) -> Complaints:
    """Orthanc by STOW-RS: it gives back the bytes that it got."""
    return _through_orthanc(cases, "STOW-RS")


def c_store(cases: Sequence[Case]) -> Complaints:
    """Orthanc by C-STORE: it gives back the bytes that it got."""
    return _through_orthanc(cases, "C-STORE")


def _through_orthanc(cases: Sequence[Case], store_by: str) -> Complaints:
    found: Complaints = {}
    # A connection for each question: Orthanc closes the ones that are idle for a second.
    once = httpx.Limits(max_keepalive_connections=0)
    with TemporaryDirectory() as folder, Orthanc(Path(folder)) as orthanc, httpx.Client(base_url=orthanc.url, limits=once) as client:
        pacs = Pacs.connect(orthanc.settings.pacs.model_copy(update={"store_by": store_by}))
        for case in cases:
            pacs.store([dcmread(path) for path in case.files])
            for path in case.files:
                (known,) = client.post("/tools/lookup", content=str(dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)).json()
                back = client.get(f"/instances/{known['ID']}/file").content
                found[path] = [] if _dataset(back) == _dataset(path.read_bytes()) else ["the data set that comes back has other bytes"]
    return found


def _dataset(file: bytes) -> bytes:
    """A file without preamble and file meta information (PS3.10 7.1), which an archive writes anew."""
    length = int.from_bytes(file[140:144], "little")
    return file[144 + length :]


def _items(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence", ()):
        yield child
        yield from _items(child)


JUDGES: dict[str, Callable[[Sequence[Case]], Complaints]] = {
    "dciodvfy": dciodvfy,
    "dcentvfy": dcentvfy,
    "dsrdump": dsrdump,
    "tid1500reader": tid1500reader,
    "segimage2itkimage": segimage2itkimage,
    "PixelMed": pixelmed,
    "OHIF adapters": ohif,
    "read(write)": reading,
    "STOW-RS": stow_rs,
    "C-STORE": c_store,
}
"""Every judge by the name that the table in docs/conformance.md gives it."""
