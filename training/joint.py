"""One step's material through the unified model, to the losses of a stage: a packed row, or pictures without text."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from ai_engine.model.config import ModelConfig
from ai_engine.model.unified import UnifiedModel
from training.examples import Pictures
from training.losses import coverage_loss, dice_loss, mask_cross_entropy, prompt_loss, quality_loss, token_loss
from training.packing import IGNORED, Row, Tensors
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
        nn.init.zeros_(self.coverage.weight)  # drawn at random, it would first of all shake the towers of a model that sees already
        self.prompts = nn.Embedding(len(LABELS), config.segmenter.feature_size)


@dataclass(frozen=True, eq=False)
class Targets(Tensors):
    """What the segmentation half needs of a row once the ``[SEG]`` states [K, H] are known; the rest is the row's."""

    states: Tensor
    segmenter_pixels: Tensor
    masks: Tensor
    mask_images: Tensor
    mask_labels: Tensor

    @classmethod
    def of(cls, row: Row, states: Tensor) -> Targets:
        """What a row has for its states."""
        return cls(states, row.segmenter_pixels, row.masks, row.mask_images, row.mask_labels)


def total(losses: Losses, weights: Weights) -> Tensor:
    """The weighted sum (equation 4); 0 where nothing is to be learned from."""
    return torch.stack([weights.of(name) * loss for name, loss in losses.items()]).sum() if losses else torch.zeros(())


class Learner(nn.Module):
    """The model with its scaffold as one module whose pass gives the losses, so that many processes can learn the same weights.

    Attributes:
        seg_gradients: norms of the gradients that arrived at the ``[SEG]`` states in the latest backward pass: of the token loss, and of
            the mask losses after their scale. They say how much the masks move the language model.
    """

    def __init__(self, model: UnifiedModel, scaffold: Scaffold) -> None:
        super().__init__()
        self.model, self.scaffold = model, scaffold
        self.seg_gradients: dict[str, Tensor] = {}

    def forward(self, material: Row | Pictures | Targets, stage: Stage) -> Losses:
        """The stage's losses of one packed row, of pictures without text, or of ``[SEG]`` states that are known already."""
        if isinstance(material, Row):
            return self._row_losses(material, stage)
        if isinstance(material, Pictures):
            return self._picture_losses(material, stage)
        return self._mask_losses(material, stage)

    def _row_losses(self, row: Row, stage: Stage) -> Losses:
        """One pass of the language model, and one of the segmenter where the stage learns masks."""
        weights = stage.weights
        thought = self.model(row.input_ids, row.position_ids, row.pixel_values)
        # Two views, so that each gradient can be told apart where they join.
        spoken, states = thought.hidden.view_as(thought.hidden), thought.hidden[row.mask_places[:, 0], row.mask_places[:, 1]]
        losses: Losses = {}
        if weights.token:
            following = row.labels[:, 1:]
            supervised = following != IGNORED
            losses["token"] = token_loss(self.model.logits(spoken[:, :-1][supervised]), following[supervised])
        if weights.coverage and row.coverage is not None:
            losses["coverage"] = self._coverage_loss(thought.visual, row.coverage)
        if weights.masks and len(row.masks):
            if thought.hidden.requires_grad:
                spoken.register_hook(
                    lambda gradient: self._note("seg_token_gradient", gradient[row.mask_places[:, 0], row.mask_places[:, 1]])
                )
                states.register_hook(lambda gradient: self._note("seg_mask_gradient", gradient))
            losses |= self._mask_losses(Targets.of(row, states), stage)
        return losses

    def _mask_losses(self, targets: Targets, stage: Stage) -> Losses:
        """The segmentation half: ``[SEG]`` states -> projector -> SAM 2 -> losses against the masks."""
        prompts = stage.scaled(self.model.project(stage.scaled(targets.states, "seg_state")), "projector_out")
        losses: Losses = {}
        if stage.weights.prompt:
            losses["prompt"] = prompt_loss(prompts, self.scaffold.prompts(targets.mask_labels).detach())
        if stage.weights.dice or stage.weights.mask_cross_entropy:
            features = self.model.encode_image(targets.segmenter_pixels.to(prompts.dtype))
            losses |= compared(*self.model.decode_masks(features, prompts, targets.mask_images), targets.masks, stage.weights)
        return losses

    def _picture_losses(self, pictures: Pictures, stage: Stage) -> Losses:
        """Without the language model: coverage through vision tower and aligner, masks from a learned prompt of each label."""
        losses: Losses = {}
        if pictures.pixel_values is not None and pictures.coverage is not None:
            losses["coverage"] = self._coverage_loss(self.model.see(pictures.pixel_values), pictures.coverage)
        if pictures.segmenter_pixels is not None and len(pictures.masks):
            losses |= compared(*self._drawn(pictures), pictures.masks, stage.weights)
        return losses

    def _coverage_loss(self, visual: Tensor, coverage: Tensor) -> Tensor:
        return coverage_loss(self.scaffold.coverage(visual), coverage, torch.tensor(POSITIVE, device=visual.device))

    def draw(self, pictures: Pictures) -> Tensor:
        """Logits [K, M, M] of the masks that the segmenter draws for the labels of ``pictures``."""
        return _enlarged(self._drawn(pictures)[0], pictures.masks)

    def _drawn(self, pictures: Pictures) -> tuple[Tensor, Tensor]:
        if pictures.segmenter_pixels is None:
            raise ValueError("These pictures were made without what the segmenter sees.")
        features = self.model.encode_image(pictures.segmenter_pixels.to(self.scaffold.prompts.weight.dtype))
        return self.model.decode_masks(features, self.scaffold.prompts(pictures.mask_labels), pictures.mask_images)

    def _note(self, name: str, gradient: Tensor) -> None:
        self.seg_gradients[name] = gradient.detach().float().norm()


def compared(logits: Tensor, expected_iou: Tensor, masks: Tensor, weights: Weights) -> Losses:
    """The losses of masks: ``logits`` on the segmenter's grid and its ``expected_iou``, against ``masks`` [K, M, M].

    Of what is not there, an empty mask, only the expected IoU is learned: it is 0 whatever is drawn.
    """
    masks = masks.float()
    logits = _enlarged(logits, masks)
    there = masks.flatten(1).any(1)
    losses: Losses = {}
    if there.any():
        losses = {"dice": dice_loss(logits[there], masks[there]), "mask_cross_entropy": mask_cross_entropy(logits[there], masks[there])}
    if weights.quality:
        losses["quality"] = quality_loss(expected_iou, logits, masks)
    return losses


def _enlarged(logits: Tensor, masks: Tensor) -> Tensor:
    return functional.interpolate(logits.float()[:, None], size=masks.shape[-2:], mode="bilinear", align_corners=False)[:, 0]


def cached(model: UnifiedModel, row: Row) -> Targets:
    """The ``[SEG]`` states of a row, computed once for a stage with a frozen language model; pixels and masks in half precision."""
    with torch.no_grad():
        hidden = model(row.input_ids, row.position_ids, row.pixel_values).hidden
    states = hidden[row.mask_places[:, 0], row.mask_places[:, 1]].float()
    return replace(Targets.of(row, states), segmenter_pixels=row.segmenter_pixels.half(), masks=row.masks.half())
