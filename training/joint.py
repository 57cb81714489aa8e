"""One packed row through the unified model: from tokens, images and masks to the losses of a stage."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ai_engine.model.unified import UnifiedModel
from training.losses import coverage_loss, dice_loss, mask_cross_entropy, quality_loss, token_loss
from training.packing import IGNORED, Row
from training.parts import POSITIVE
from training.stages import Stage, Weights

Losses = dict[str, Tensor]
"""Scalar losses by the names of :class:`training.stages.Weights`; a loss that the stage does not use is absent."""


@dataclass(frozen=True, eq=False)
class Targets:
    """What the segmentation half needs of a row once the ``[SEG]`` states are known: states [K, H] and the row's image and mask tensors."""

    states: Tensor
    segmenter_pixels: Tensor
    masks: Tensor
    mask_images: Tensor


def total(losses: Losses, weights: Weights) -> Tensor:
    """The weighted sum (equation 4)."""
    return torch.stack([getattr(weights, name) * loss for name, loss in losses.items()]).sum()


def row_losses(model: UnifiedModel, head: nn.Linear, row: Row, stage: Stage) -> Losses:
    """Losses of one row: one pass of the language model, and one of the segmenter where the stage learns masks.

    Args:
        model: the unified model.
        head: from merger states to parts, for the coverage loss.
        row: the packed row.
        stage: says which losses count and where the mask gradient is scaled.
    """
    weights = stage.weights
    thought = model(row.input_ids, row.position_ids, row.pixel_values)
    losses: Losses = {}
    if weights.token:
        following = row.labels[:, 1:]
        supervised = following != IGNORED
        losses["token"] = token_loss(model.logits(thought.hidden[:, :-1][supervised]), following[supervised])
    if weights.coverage and row.coverage is not None:
        losses["coverage"] = coverage_loss(head(thought.visual), row.coverage, torch.tensor(POSITIVE))
    if weights.masks and len(row.masks):
        states = thought.hidden[row.mask_places[:, 0], row.mask_places[:, 1]]
        losses |= mask_losses(model, Targets(states, row.segmenter_pixels, row.masks, row.mask_images), stage)
    return losses


def mask_losses(model: UnifiedModel, targets: Targets, stage: Stage) -> Losses:
    """The segmentation half: ``[SEG]`` states -> projector -> SAM 2 -> losses against the masks."""
    embeddings = stage.scaled(model.project(stage.scaled(targets.states, "seg_state")), "projector_out")
    features = model.encode_image(targets.segmenter_pixels.float())
    logits, predicted_iou = model.decode_masks(features, embeddings, targets.mask_images)
    masks = targets.masks.float()
    logits = functional.interpolate(logits.float()[:, None], size=masks.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
    losses = {"dice": dice_loss(logits, masks), "mask_cross_entropy": mask_cross_entropy(logits, masks)}
    if stage.weights.quality:
        losses["quality"] = quality_loss(predicted_iou, logits, masks)
    return losses


def cached(model: UnifiedModel, row: Row) -> Targets:
    """The ``[SEG]`` states of a row, computed once for a stage with a frozen language model; pixels and masks in half precision."""
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        hidden = model(row.input_ids, row.position_ids, row.pixel_values).hidden
    states = hidden[row.mask_places[:, 0], row.mask_places[:, 1]].float()
    return Targets(states, row.segmenter_pixels.half(), row.masks.half(), row.mask_images)
