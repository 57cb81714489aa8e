"""SAM 2's memory: masks carried from the slice on which they were decoded into the slices beside it.

A slice is remembered as its picture together with each mask, and as one pointer to each object. The next slice's features attend
to the key slice and to the slices before, then the decoder draws the masks with the same prompts. All objects of a slice go
through in one batch, over one encoding of its picture.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import torch
from torch.nn import functional
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoPositionEmbeddingSine, get_1d_sine_pe

from ai_engine.model.config import MASK_STRIDE, MEMORY_CHANNELS, MemoryConfig
from ai_engine.model.segmenter import Decoded, Prompts, Segmenter, sure

_KEY_TIME, _PREVIOUS_TIME = -1, 0
"""Rows of the learned places in time: the last is the key slice's, the first that of one slice before."""


@dataclass(frozen=True, eq=False)
class Memory:
    """One slice as remembered: ``masks`` [cell, mask, channel], the picture with each mask, and ``pointers`` [mask, channel]."""

    masks: torch.Tensor
    pointers: torch.Tensor


class Track:
    """Masks on their way outwards from a key slice, in one direction."""

    def __init__(
        self,
        segmenter: Segmenter,
        features: list[torch.Tensor],
        prompts: Prompts,
        image_index: torch.Tensor | None = None,
        masks: torch.Tensor | None = None,
    ) -> None:
        """Begin at the key slice.

        Args:
            segmenter: where it has no memory, every slice is decoded by its prompts alone.
            features: of the key slice, from :meth:`Segmenter.encode_image`; of several key slices where tracks run side by side.
            prompts: what is meant; [SEG] states hold for all slices, points and masks for the key slice.
            image_index: [mask], which key slice each mask is of; None where there is one.
            masks: [mask, row, column], 0 to 1, what is known of the key slice; None: what the decoder draws there.
        """
        self._segmenter = segmenter
        count, image = len(prompts), features[-1]
        self._prompts = Prompts(prompts.states) if prompts.states is not None else Prompts.none(count, image)
        self._image_index = torch.zeros(count, dtype=torch.long, device=image.device) if image_index is None else image_index
        self._sizes: MemoryConfig | None = segmenter.memory
        if self._sizes is None:
            return
        self._before: deque[Memory] = deque(maxlen=max(self._sizes.masks, self._sizes.pointers) - 1)
        self._steps = 0
        key = segmenter.decode(features, prompts, self._image_index)
        known = (_whole(key.logits if masks is None else masks - 0.5) > 0).to(key.logits.dtype)
        self._key = self._remember(features, known, key.tokens, torch.ones_like(key.presence))

    def step(self, features: list[torch.Tensor]) -> Decoded:
        """Draw the masks on the next slice, whose ``features`` are given, and remember them.

        The logits are those of an object that is there; where ``presence`` is not above 0 it is remembered as gone. Without a
        memory nothing is known to be gone.
        """
        if self._sizes is None:
            drawn = self._segmenter.decode(features, self._prompts, self._image_index)
            return replace(drawn, presence=torch.ones_like(drawn.presence))
        self._steps += 1
        own = [level.index_select(0, self._image_index) for level in features]
        own[-1] = self._recall(self._unmarked(features))
        drawn = self._segmenter.decode(own, self._prompts, torch.arange(len(self._prompts), device=own[-1].device))
        there = (drawn.presence > 0).to(drawn.logits.dtype)
        likely = _whole(drawn.logits).sigmoid() * there[:, None, None, None]
        self._before.appendleft(self._remember(features, likely, drawn.tokens, there))
        return drawn

    def _unmarked(self, features: list[torch.Tensor]) -> torch.Tensor:
        """The coarsest features [mask, channel, row, column] without the mark that says there is no memory."""
        marked = features[-1].index_select(0, self._image_index)
        unmarked: torch.Tensor = marked - self._segmenter.sam2_model.no_memory_embedding.reshape(1, -1, 1, 1)
        return unmarked

    def _remember(self, features: list[torch.Tensor], seen: torch.Tensor, tokens: torch.Tensor, there: torch.Tensor) -> Memory:
        """Keep a slice: ``seen`` [mask, 1, row, column] 0 to 1, ``there`` [mask] 1 for objects that are on it and 0 for others."""
        sam = self._segmenter.sam2_model
        kept = sam.memory_encoder(self._unmarked(features), sure(seen))[0]
        if sam.occlusion_spatial_embedding_parameter is not None:
            kept = kept + (1 - there)[:, None, None, None] * sam.occlusion_spatial_embedding_parameter[..., None, None]
        pointers = there[:, None] * sam.object_pointer_proj(tokens) + (1 - there)[:, None] * sam.no_object_pointer
        return Memory(kept.flatten(2).permute(2, 0, 1), pointers)

    def _recall(self, current: torch.Tensor) -> torch.Tensor:
        """Let the features ``current`` [mask, channel, row, column] attend to what is remembered."""
        assert self._sizes is not None
        sam = self._segmenter.sam2_model
        count, channels, rows, columns = current.shape
        times = sam.memory_temporal_positional_encoding
        cells = _places((1, MEMORY_CHANNELS, rows, columns), times)
        before = list(self._before)
        remembered = [self._key.masks, *(memory.masks for memory in before[: self._sizes.masks - 1])]
        places = [cells + times[_KEY_TIME], *(cells + times[_PREVIOUS_TIME + age] for age in range(len(remembered) - 1))]
        pointed = [self._key.pointers, *(memory.pointers for memory in before[: self._sizes.pointers - 1])]
        pointers, pointer_places = self._split(torch.stack(pointed), [self._steps, *range(1, len(pointed))])
        recalled = sam.memory_attention(
            current_vision_features=current.flatten(2).permute(2, 0, 1),
            memory=torch.cat([*remembered, pointers]),
            current_vision_position_embeddings=_places((1, channels, rows, columns), times),
            memory_posision_embeddings=torch.cat([*places, pointer_places]).expand(-1, count, -1),
            num_object_pointer_tokens=len(pointers),
        )
        features: torch.Tensor = recalled[0].transpose(1, 2).reshape(current.shape)
        return features

    def _split(self, pointers: torch.Tensor, ages: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Cut ``pointers`` [slice, mask, channel] to the memory's width; return them [part, mask, channel] and their places in time."""
        assert self._sizes is not None
        slices, count, channels = pointers.shape
        parts = channels // MEMORY_CHANNELS
        split = pointers.reshape(slices, count, parts, MEMORY_CHANNELS).permute(0, 2, 1, 3).flatten(0, 1)
        places = pointers.new_zeros(slices, MEMORY_CHANNELS)
        if self._sizes.sam2_1:
            far = torch.tensor(ages, dtype=torch.float32, device=pointers.device) / (self._sizes.pointers - 1)
            project = self._segmenter.sam2_model.temporal_positional_encoding_projection_layer
            places = project(get_1d_sine_pe(far, channels).to(project.weight.dtype))
        return split, places.repeat_interleave(parts, 0)[:, None]


def _places(shape: tuple[int, int, int, int], like: torch.Tensor) -> torch.Tensor:
    """SAM 2's sine places [cell, 1, channel] of a grid of ``shape`` (1, channel, row, column), with the device and type of ``like``."""
    sines: torch.Tensor = Sam2VideoPositionEmbeddingSine(shape[1] // 2, normalize=True)(shape, like.device, torch.float32)
    return sines.flatten(2).permute(2, 0, 1).to(like.dtype)


def _whole(cells: torch.Tensor) -> torch.Tensor:
    """Interpolate [mask, row, column] on the mask's grid to [mask, 1, row, column] on the picture's."""
    return functional.interpolate(cells[:, None], scale_factor=float(MASK_STRIDE), mode="bilinear", align_corners=False)
