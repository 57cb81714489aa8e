"""One step's material through the unified model, to the losses of a stage: a packed row, or pictures without text."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ai_engine.model.config import MERGE, PATCH, ModelConfig
from ai_engine.model.unified import UnifiedModel
from training.examples import Pictures
from training.losses import coverage_loss, dice_loss, mask_cross_entropy, quality_loss, token_loss
from training.packing import IGNORED, Row
from training.parts import LABELS, PARTS, POSITIVE
from training.stages import Stage, Weights

Losses = dict[str, Tensor]
"""Scalar losses by the names of :class:`training.stages.Weights`; a loss that the stage does not use is absent."""


class Scaffold(nn.Module):
    """What only training needs, and no weights folder holds: it gives parts of the model something to learn from by themselves.

    Attributes:
        coverage: from the language model's image tokens to the share of them that each part covers.
        prompts: a prompt of the segmenter for every label, until there are projected ``[SEG]`` states.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.coverage = nn.Linear(config.text.hidden_size, len(PARTS))
        self.prompts = nn.Embedding(len(LABELS), config.segmenter.feature_size)


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


def row_losses(model: UnifiedModel, scaffold: Scaffold, row: Row, stage: Stage) -> Losses:
    """Losses of one row: one pass of the language model, and one of the segmenter where the stage learns masks.

    Args:
        model: the unified model.
        scaffold: for the coverage loss.
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
        losses["coverage"] = coverage_loss(scaffold.coverage(thought.visual), row.coverage, torch.tensor(POSITIVE))
    if weights.masks and len(row.masks):
        states = thought.hidden[row.mask_places[:, 0], row.mask_places[:, 1]]
        losses |= mask_losses(model, Targets(states, row.segmenter_pixels, row.masks, row.mask_images), stage)
    return losses


def mask_losses(model: UnifiedModel, targets: Targets, stage: Stage) -> Losses:
    """The segmentation half: ``[SEG]`` states -> projector -> SAM 2 -> losses against the masks."""
    prompts = stage.scaled(model.project(stage.scaled(targets.states, "seg_state")), "projector_out")
    return _drawn_losses(model, prompts, targets.segmenter_pixels, targets.masks, targets.mask_images, stage.weights)


def picture_losses(model: UnifiedModel, scaffold: Scaffold, pictures: Pictures, stage: Stage) -> Losses:
    """Losses without the language model: coverage through vision tower and aligner, masks from a learned prompt of each label."""
    losses: Losses = {}
    if pictures.pixel_values is not None and pictures.coverage is not None:
        side = model.config.image_size // PATCH
        grids = torch.tensor([[1, side, side]]).expand(len(pictures.coverage) // (side // MERGE) ** 2, -1)
        visual = torch.cat(model.mllm.model.get_image_features(pictures.pixel_values, grids, return_dict=True).pooler_output)
        losses["coverage"] = coverage_loss(scaffold.coverage(visual), pictures.coverage, torch.tensor(POSITIVE))
    if pictures.segmenter_pixels is not None and len(pictures.masks):
        prompts = scaffold.prompts(pictures.mask_labels)
        losses |= _drawn_losses(model, prompts, pictures.segmenter_pixels, pictures.masks, pictures.mask_images, stage.weights)
    return losses


def _drawn_losses(model: UnifiedModel, prompts: Tensor, pixels: Tensor, masks: Tensor, mask_images: Tensor, weights: Weights) -> Losses:
    logits, predicted_iou = model.decode_masks(model.encode_image(pixels.float()), prompts, mask_images)
    masks = masks.float()
    logits = functional.interpolate(logits.float()[:, None], size=masks.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
    losses = {"dice": dice_loss(logits, masks), "mask_cross_entropy": mask_cross_entropy(logits, masks)}
    if weights.quality:
        losses["quality"] = quality_loss(predicted_iou, logits, masks)
    return losses


def cached(model: UnifiedModel, row: Row) -> Targets:
    """The ``[SEG]`` states of a row, computed once for a stage with a frozen language model; pixels and masks in half precision."""
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        hidden = model(row.input_ids, row.position_ids, row.pixel_values).hidden
    states = hidden[row.mask_places[:, 0], row.mask_places[:, 1]].float()
    return Targets(states, row.segmenter_pixels.half(), row.masks.half(), row.mask_images)
