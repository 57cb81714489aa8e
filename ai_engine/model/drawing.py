"""The assistant's drawing hand: a picture is encoded once, then drawn on as often as wanted, and masks are carried from slice to slice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from ai_engine.model.hint import Hint, covered, prompts_of
from ai_engine.model.images import Kind, Letterbox, segmenter_input, windowed
from ai_engine.model.memory import Track
from ai_engine.model.reading import Mask
from ai_engine.model.segmenter import Prompts, sure
from ai_engine.model.unified import UnifiedModel
from radiology.errors import EngineError, OutOfMemory

_NOWHERE = -1024.0
"""Logit of every cell where an object is not on the slice (SAM 2)."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """A picture as the segmenter has seen it.

    Attributes:
        frame: where the source lies on the segmenter's picture.
        features: what :meth:`UnifiedModel.encode_image` returned.
    """

    frame: Letterbox
    features: list[torch.Tensor]

    @property
    def size_bytes(self) -> int:
        """How much memory it takes."""
        return sum(level.nbytes for level in self.features)


class Drawer:
    """Draws with one loaded model."""

    def __init__(self, model: UnifiedModel) -> None:
        self._model = model
        self._mask_size = model.config.mask_size

    @property
    def takes_hints(self) -> bool:
        """Whether the weights have learned points, boxes and masks to correct."""
        return self._model.config.segmenter.pointable

    @property
    def carries(self) -> bool:
        """Whether the weights can carry a mask that no words were written for."""
        return self.takes_hints and self._model.config.segmenter.memory is not None

    def encode(self, array: NDArray[np.float32], kind: Kind, spacing_mm: tuple[float, float] | None = None) -> Encoded:
        """Look at a picture (row, column); see :meth:`Assistant.read` for the arguments."""
        return self.encode_channels(windowed(array, kind), spacing_mm)

    def encode_channels(self, channels: NDArray[np.uint8], spacing_mm: tuple[float, float] | None) -> Encoded:
        """Look at a picture (channel, row, column), 0 to 255."""
        frame = Letterbox.fit(channels.shape[1:], self._model.config.segmenter_size, spacing_mm)
        like = self._model.seg_projector[0].weight
        pixels = torch.from_numpy(segmenter_input(frame.image(channels))).to(like.device, like.dtype)
        with torch.inference_mode(), memory_errors():
            return Encoded(frame, self._model.encode_image(pixels[None]))

    def draw(self, picture: Encoded, hint: Hint) -> Mask:
        """Draw what somebody points at. Raises ``EngineError`` where the weights have not learned points."""
        if not self.takes_hints:
            raise EngineError("These weights have not learned points and boxes; ask with words.")
        with torch.inference_mode(), memory_errors():
            prompts = prompts_of(hint, picture.frame, self._mask_size, picture.features[-1])
            drawn = self._model.grounding_encoder.decode(picture.features, prompts)
        return masks_of(picture.frame, drawn.logits, drawn.expected_iou)[0]

    def draw_states(self, picture: Encoded, states: torch.Tensor) -> tuple[Mask, ...]:
        """Draw one mask for each ``[SEG]`` state [mask, channel]."""
        with torch.inference_mode(), memory_errors():
            return masks_of(picture.frame, *self._model.decode_masks(picture.features, self._model.project(states)))

    def follow_states(self, key: Encoded, slices: Iterable[Encoded], states: torch.Tensor) -> Iterator[tuple[Mask, ...]]:
        """Carry what ``[SEG]`` states [mask, channel] draw on the slice ``key`` into the slices beside it, one after the other.

        Yields:
            One mask for each state; an empty one where the object is not on the slice.
        """
        with torch.no_grad(), memory_errors():
            track = Track(self._model.grounding_encoder, key.features, Prompts(self._model.project(states)))
        yield from _steps(track, slices)

    def carry(
        self, key: Encoded, slices: Iterable[Encoded], mask: NDArray[np.bool_], seg_state: torch.Tensor | None = None
    ) -> Iterator[Mask]:
        """Carry a mask (row, column) that is known of the slice ``key`` into the slices beside it, one after the other.

        Args:
            key: where the mask is.
            slices: what lies beside it, outwards; each is looked at when its mask is asked for.
            mask: not empty.
            seg_state: of the words that it was drawn for, where it was: they hold on all slices.

        Yields:
            The mask on each slice; an empty one where the object is not on it.
        """
        with torch.no_grad(), memory_errors():
            cells = covered(mask, key.frame, self._mask_size, key.features[-1])
            prompts = replace(Prompts.none(1, cells), masks=sure(cells))
            if seg_state is not None:
                prompts = Prompts(self._model.project(seg_state[None]))
            track = Track(self._model.grounding_encoder, key.features, prompts, masks=cells)
        for (drawn,) in _steps(track, slices):
            yield drawn


def _steps(track: Track, slices: Iterable[Encoded]) -> Iterator[tuple[Mask, ...]]:
    for picture in slices:
        with torch.no_grad(), memory_errors():
            drawn = track.step(picture.features)
            logits = drawn.logits.where(drawn.presence[:, None, None] > 0, _NOWHERE)
        yield masks_of(picture.frame, logits, drawn.expected_iou)


def masks_of(frame: Letterbox, logits: torch.Tensor, expected_iou: torch.Tensor) -> tuple[Mask, ...]:
    """Return masks in pixels of the source from logits [mask, row, column] on the mask's grid and the IoU that is expected of each."""
    return tuple(
        _mask(frame.logits_to_source(each.float().cpu().numpy()), float(iou)) for each, iou in zip(logits, expected_iou, strict=True)
    )


def _mask(logits: NDArray[np.float32], expected_iou: float) -> Mask:
    pixels = logits > 0
    certainty = float((1 / (1 + np.exp(-logits[pixels]))).mean()) if pixels.any() else 0.0
    return Mask(pixels, certainty * expected_iou)


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn what torch raises where memory runs out into ``OutOfMemory``."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise OutOfMemory("The device has too little memory for the model; give it more or use another device.") from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):  # the CPU allocator has no error type of its own
            raise
        raise OutOfMemory("The machine has too little memory for the model; give it more.") from error
