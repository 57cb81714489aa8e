"""Packing: many samples in one row of tokens, so that no computation is spent on padding (Citrus-V 4.3.2, figure 15).

Samples pass through as :class:`Sample`, leave as :class:`Row`. Attention stays within each sample because the text positions
restart at 0 (the model's ``cpu_varlen`` attention finds the borders there). What the model computes is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor

IGNORED = -100
"""Label of a position without a token loss (the convention of ``torch.nn.functional.cross_entropy``)."""


@dataclass(frozen=True)
class Piece:
    """Tokens ``start`` to ``stop`` of sample number ``sample``."""

    sample: int
    start: int
    stop: int

    @property
    def length(self) -> int:
        """Number of tokens."""
        return self.stop - self.start


def best_fit(lengths: Sequence[int], limit: int, whole: Sequence[bool] | None = None) -> list[list[Piece]]:
    """Place samples in as few rows of at most ``limit`` tokens as best-fit decreasing finds (Ding et al. 2024).

    Args:
        lengths: tokens of each sample.
        limit: tokens of a row.
        whole: which samples may not be cut, because an image span or a ``[SEG]`` and its mask would be torn apart; none by default.

    Returns:
        The rows. A sample longer than ``limit`` is cut into pieces; a cut piece is never cut again.

    Raises:
        ValueError: where a whole sample is longer than ``limit``; leave it out and say so.
    """
    pieces: list[Piece] = []
    for sample, length in enumerate(lengths):
        if length > limit and whole is not None and whole[sample]:
            raise ValueError(f"Sample {sample} has {length} tokens and may not be cut, but a row holds {limit}: raise row_tokens.")
        pieces += [Piece(sample, start, min(start + limit, length)) for start in range(0, length, limit)]
    rows: list[list[Piece]] = []
    free: list[int] = []
    for piece in sorted(pieces, key=lambda piece: -piece.length):
        fitting = [row for row in range(len(rows)) if free[row] >= piece.length]
        if fitting:
            row = min(fitting, key=free.__getitem__)
        else:
            row = len(rows)
            rows.append([])
            free.append(limit)
        rows[row].append(piece)
        free[row] -= piece.length
    return rows


@dataclass(frozen=True, eq=False)
class Tensors:
    """Tensors that belong together; subclasses are dataclasses."""

    def to(self, device: torch.device) -> Self:
        """The same on ``device``."""
        held = {each.name: getattr(self, each.name) for each in fields(self)}
        return replace(self, **{name: value.to(device) for name, value in held.items() if isinstance(value, Tensor)})


@dataclass(frozen=True, eq=False)
class Sample:
    """One encoded question and answer.

    Attributes:
        input_ids: [T] tokens.
        labels: [T] the token to predict at the position before it, or ``IGNORED``.
        position_ids: [3, T] M-RoPE positions (time, height, width).
        pixel_values: [patches, patch values] the language model's image, or None for a text.
        segmenter_pixels: [3, S, S] the segmenter's image, or None where nothing is segmented.
        masks: [k, M, M] one mask per ``[SEG]``, 0 to 1, in the order of the text; None where masks are not learned.
        coverage: [image tokens, parts] what share of each image token each part covers, for the auxiliary loss.
        name: which case it comes from.
        mask_labels: [k] what each mask is of, a number that the caller knows the meaning of; None where masks are not learned.
    """

    input_ids: Tensor
    labels: Tensor
    position_ids: Tensor
    pixel_values: Tensor | None = None
    segmenter_pixels: Tensor | None = None
    masks: Tensor | None = None
    coverage: Tensor | None = None
    name: str = ""
    mask_labels: Tensor | None = None

    @property
    def whole(self) -> bool:
        """Whether it may not be cut."""
        return self.pixel_values is not None or self.masks is not None

    def cut(self, piece: Piece) -> Sample:
        """The piece of a text sample as a sample of its own."""
        if piece.length == len(self.input_ids):
            return self
        if self.whole:
            raise ValueError(f"Sample {self.name!r} has an image or a mask and may not be cut.")
        span = slice(piece.start, piece.stop)
        return Sample(
            self.input_ids[span], self.labels[span], self.position_ids[:, span] - self.position_ids[:, span.start, None], name=self.name
        )


@dataclass(frozen=True, eq=False)
class Row(Tensors):
    """One packed row: the tensors of :class:`Sample`, joined along tokens, patches, images and masks.

    Attributes:
        input_ids: [1, L].
        labels: [1, L]; the first label of every sample is ``IGNORED``.
        position_ids: [4, 1, L]: text positions that restart at 0, then time, height, width.
        pixel_values: [patches, patch values] or None.
        segmenter_pixels: [N, 3, S, S] images of the samples with masks.
        masks: [K, M, M].
        mask_places: [K, 2] (row of the batch, token) of the ``[SEG]`` that mask k belongs to.
        mask_images: [K] which of the N segmenter images mask k lies on.
        mask_labels: [K].
        coverage: [image tokens, parts] or None.
        names: the samples in order.
    """

    input_ids: Tensor
    labels: Tensor
    position_ids: Tensor
    pixel_values: Tensor | None
    segmenter_pixels: Tensor
    masks: Tensor
    mask_places: Tensor
    mask_images: Tensor
    mask_labels: Tensor
    coverage: Tensor | None
    names: tuple[str, ...]


def join(samples: Sequence[Sample], seg_token: int) -> Row:
    """Join samples to one row, and tie every ``[SEG]`` to its mask.

    Raises:
        ValueError: where a sample's number of masks is not its number of ``[SEG]`` tokens.
    """
    places: list[int] = []
    images: list[int] = []
    pixels: list[Tensor] = []
    masks: list[Tensor] = []
    labelled: list[Tensor] = []
    start = 0
    for sample in samples:
        if sample.masks is not None:
            at = torch.nonzero(sample.input_ids == seg_token).flatten().tolist()
            if len(at) != len(sample.masks):
                raise ValueError(f"Sample {sample.name!r} has {len(at)} [SEG] tokens and {len(sample.masks)} masks.")
            if at and sample.segmenter_pixels is not None and sample.mask_labels is not None:
                places += [start + token for token in at]
                images += [len(pixels)] * len(at)
                pixels.append(sample.segmenter_pixels)
                masks.append(sample.masks)
                labelled.append(sample.mask_labels)
        start += len(sample.input_ids)
    labels = [sample.labels.clone() for sample in samples]
    for label in labels:
        label[0] = IGNORED
    text = torch.cat([torch.arange(len(sample.input_ids)) for sample in samples])
    places_2d = torch.tensor([(0, token) for token in places], dtype=torch.long).reshape(-1, 2)
    seen = [sample for sample in samples if sample.pixel_values is not None]
    return Row(
        input_ids=torch.cat([sample.input_ids for sample in samples])[None],
        labels=torch.cat(labels)[None],
        position_ids=torch.cat([text[None], torch.cat([sample.position_ids for sample in samples], 1)])[:, None],
        pixel_values=_cat([sample.pixel_values for sample in seen]),
        segmenter_pixels=torch.stack(pixels) if pixels else torch.zeros(0, 3, 1, 1),
        masks=torch.cat(masks) if masks else torch.zeros(0, 1, 1),
        mask_places=places_2d,
        mask_images=torch.tensor(images, dtype=torch.long),
        mask_labels=torch.cat(labelled) if labelled else torch.zeros(0, dtype=torch.long),
        coverage=_cat([sample.coverage for sample in seen]),
        names=tuple(sample.name for sample in samples),
    )


def _cat(parts: Sequence[Tensor | None]) -> Tensor | None:
    there = [part for part in parts if part is not None]
    return torch.cat(there) if there and len(there) == len(parts) else None


def pack(samples: Sequence[Sample], limit: int, seg_token: int, dropped: Callable[[str], None]) -> list[Row]:
    """Best-fit samples into rows of at most ``limit`` tokens; ``dropped`` is told each name that is too long and may not be cut."""
    kept = []
    for sample in samples:
        if sample.whole and len(sample.input_ids) > limit:
            dropped(sample.name)
        else:
            kept.append(sample)
    plan = best_fit([len(sample.input_ids) for sample in kept], limit, [sample.whole for sample in kept])
    return [join([kept[piece.sample].cut(piece) for piece in row], seg_token) for row in plan]
