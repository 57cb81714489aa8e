"""From the source matrix to the model's two pictures, and back.

Both pictures show the whole image with its true proportions, centred on a black square: a :class:`Letterbox` says where each source
pixel lies and brings boxes and masks home. All places are (row, column), edges between pixels: pixel ``k`` covers ``k`` to ``k + 1``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ai_engine.model.config import MERGE, PATCH

Kind = Literal["projection", "ct"]
Box = tuple[int, int, int, int]
"""Half-open ``(first row, first column, last row + 1, last column + 1)``."""

CT_WINDOWS_HU = ((-600.0, 1500.0), (40.0, 400.0), (400.0, 1800.0))
"""Centre and width of the three channels of a CT slice: lung, mediastinum, bone."""
PROJECTION_PERCENTILES = (0.5, 60.0, 99.5)
"""A radiograph's first channel shows it from the lowest to the highest of these, its second to the middle one, which is where the
lungs are; its third is histogram-equalised."""
_BORDER_FRACTION = 0.01
_SAMPLED_PIXELS = 100_000
_TONES = 4096

# Mean and deviation per channel that the published weights were trained with: CLIP's in Qwen2.5-VL, ImageNet's in SAM 2.
_MLLM_MEAN, _MLLM_DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_SAM_MEAN, _SAM_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_TEMPORAL_PATCH = 2


def windowed(array: NDArray[np.float32], kind: Kind) -> NDArray[np.uint8]:
    """Return the three channels that the model sees.

    Args:
        array: (row, column); Hounsfield units for ``ct``, any scale that is bright where more was absorbed for ``projection``.
        kind: decides the windows.

    Returns:
        uint8 (channel, row, column).
    """
    if kind == "ct":
        return np.stack([_window(array, centre - width / 2, centre + width / 2) for centre, width in CT_WINDOWS_HU])
    anatomy = _without_borders(array)
    low, middle, high = np.percentile(anatomy, PROJECTION_PERCENTILES)
    return np.stack([_window(array, low, high), _window(array, low, middle), _equalised(array, anatomy, low, high)])


def _window(array: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    return _levels(array, low, high, 256).astype(np.uint8)


def _levels(array: NDArray[np.float32], low: float, high: float, count: int) -> NDArray[np.float32]:
    """Return which of ``count`` even steps from ``low`` to ``high`` each value is nearest to, as whole float32."""
    scale = np.float32((count - 1) / max(high - low, 1e-6))
    return np.clip(np.rint((array - np.float32(low)) * scale), 0, count - 1)


def _without_borders(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a sample of the pixels, without a lowest or highest value that fills an area: collimation, padding, markers."""
    step = max(1, round((array.size / _SAMPLED_PIXELS) ** 0.5))
    sample = array[::step, ::step].ravel()
    keep = np.ones(sample.shape, bool)
    for extreme in (array.min(), array.max()):
        flat = sample == extreme
        if flat.mean() > _BORDER_FRACTION:
            keep &= ~flat
    return sample[keep] if keep.any() else sample


def _equalised(array: NDArray[np.float32], anatomy: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    """Return each pixel's rank among ``anatomy``: the same for any tone curve that the detector's maker chose."""
    counts = np.bincount(_levels(anatomy, low, high, _TONES).astype(np.intp), minlength=_TONES)
    rank = (np.cumsum(counts) - counts / 2) / anatomy.size
    return np.rint(255 * rank).astype(np.uint8)[_levels(array, low, high, _TONES).astype(np.intp)]


@dataclass(frozen=True)
class Letterbox:
    """Where a source image lies in a square picture.

    Attributes:
        shape: rows and columns of the source.
        size: side of the picture in pixels.
        top, left, height, width: the part of the picture that the source fills, in whole pixels.
    """

    shape: tuple[int, int]
    size: int
    top: int
    left: int
    height: int
    width: int

    @classmethod
    def fit(cls, shape: tuple[int, int], size: int, spacing_mm: tuple[float, float] | None = None) -> Self:
        """Place an image of ``shape`` as large as it fits.

        ``spacing_mm`` (row, column): anatomy keeps its true proportions; without it pixels are taken for square.
        """
        row_mm, column_mm = spacing_mm or (1.0, 1.0)
        extent = shape[0] * row_mm, shape[1] * column_mm
        height, width = (max(1, round(size * length / max(extent))) for length in extent)
        return cls(shape, size, (size - height) // 2, (size - width) // 2, height, width)

    def image(self, channels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Draw ``channels`` (channel, row, column), 0 to 255, into the picture (channel, size, size), antialiased."""
        picture = np.zeros((channels.shape[0], self.size, self.size), np.float32)
        for target, channel in zip(picture, channels, strict=True):
            resized = Image.fromarray(channel).resize((self.width, self.height), Image.Resampling.BILINEAR)
            target[self.top : self.top + self.height, self.left : self.left + self.width] = np.asarray(resized)
        return picture

    def to_picture(self, row: float, column: float) -> tuple[float, float]:
        """Source pixels to picture pixels, both counted from the corner."""
        return self.top + row * self.height / self.shape[0], self.left + column * self.width / self.shape[1]

    def box_to_model(self, box: Box) -> Box:
        """Source pixels to the smallest box of whole picture pixels around them."""
        low = self.to_picture(box[0], box[1])
        high = self.to_picture(box[2], box[3])
        return int(np.floor(low[0])), int(np.floor(low[1])), int(np.ceil(high[0])), int(np.ceil(high[1]))

    def box_to_source(self, box: Box) -> Box | None:
        """Picture pixels to the nearest source pixels; None where nothing of the box lies on the source."""
        row0, column0 = self._to_source(box[0], box[1])
        row1, column1 = self._to_source(box[2], box[3])
        rows, columns = self.shape
        clipped = max(0, round(row0)), max(0, round(column0)), min(rows, round(row1)), min(columns, round(column1))
        return clipped if clipped[0] < clipped[2] and clipped[1] < clipped[3] else None

    def mask_to_model(self, mask: NDArray[np.bool_], side: int) -> NDArray[np.float32]:
        """Return which part of each cell of a ``side`` x ``side`` grid over the picture is covered by ``mask`` (..., row, column)."""
        rows = _overlap(self.shape[0], self.top, self.height, self.size, side)
        columns = _overlap(self.shape[1], self.left, self.width, self.size, side)
        return np.asarray(rows @ mask.astype(np.float32) @ columns.T, np.float32)

    def logits_to_source(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Interpolate logits on a square grid over the picture, bilinearly, at the centre of every source pixel (row, column)."""
        rows = _interpolation(self.shape[0], self.top, self.height, self.size, logits.shape[0])
        columns = _interpolation(self.shape[1], self.left, self.width, self.size, logits.shape[1])
        return np.asarray(rows @ logits @ columns.T, np.float32)

    def _to_source(self, row: float, column: float) -> tuple[float, float]:
        return (row - self.top) * self.shape[0] / self.height, (column - self.left) * self.shape[1] / self.width


@lru_cache(maxsize=512)
def _overlap(source: int, start: int, length: int, size: int, side: int) -> NDArray[np.float32]:
    """Return [side, source]: the part of each grid cell that each source pixel covers along one axis."""
    edges = (start + np.arange(source + 1) * (length / source)) * (side / size)
    cells = np.arange(side)[:, None]
    return np.clip(np.minimum(edges[1:], cells + 1) - np.maximum(edges[:-1], cells), 0, None).astype(np.float32)


def _interpolation(source: int, start: int, length: int, size: int, side: int) -> NDArray[np.float32]:
    """Return [source, side]: the weights of linear interpolation at the centre of each source pixel along one axis."""
    centres = (start + (np.arange(source) + 0.5) * (length / source)) * (side / size) - 0.5
    distance = np.abs(np.clip(centres, 0, side - 1)[:, None] - np.arange(side))
    return np.clip(1 - distance, 0, None).astype(np.float32)


def mllm_input(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut a picture (3, size, size), 0 to 255, into Qwen2.5-VL's patches [patch, 3 x 2 x 14 x 14].

    The patches of one visual token follow each other; a still image fills both moments of the temporal patch.
    """
    normal = _normalised(picture, _MLLM_MEAN, _MLLM_DEVIATION)
    grid = picture.shape[-1] // (PATCH * MERGE)
    cut = normal.reshape(3, grid, MERGE, PATCH, grid, MERGE, PATCH).transpose(1, 4, 2, 5, 0, 3, 6)
    moments = np.repeat(cut[:, :, :, :, :, None], _TEMPORAL_PATCH, axis=5)
    return np.ascontiguousarray(moments.reshape((grid * MERGE) ** 2, -1))


def segmenter_input(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Normalise a picture (3, size, size), 0 to 255, for SAM 2."""
    return _normalised(picture, _SAM_MEAN, _SAM_DEVIATION)


def _normalised(picture: NDArray[np.float32], mean: tuple[float, ...], deviation: tuple[float, ...]) -> NDArray[np.float32]:
    scale = 1 / (255 * np.asarray(deviation, np.float32)[:, None, None])
    return np.asarray(picture * scale - 255 * scale * np.asarray(mean, np.float32)[:, None, None], np.float32)
