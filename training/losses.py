"""Losses: token cross-entropy, Dice and binary cross-entropy of the masks (Citrus-V 4.3.1), and three that the paper has not."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

EPSILON = 1.0
"""In numerator and denominator of Dice, so that an empty target still tells a nearly empty prediction from a full one."""


def token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy over the supervised tokens (equation 1). ``logits`` [n, vocabulary], ``targets`` [n]."""
    return functional.cross_entropy(logits.float(), targets)


def dice_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """1 - Dice of the probabilities, mean over masks (equation 2). ``logits`` and ``masks`` [K, M, M]."""
    probability = logits.float().sigmoid().flatten(1)
    target = masks.float().flatten(1)
    overlap = (probability * target).sum(1)
    return (1 - (2 * overlap + EPSILON) / (probability.sum(1) + target.sum(1) + EPSILON)).mean()


def mask_cross_entropy(logits: Tensor, masks: Tensor) -> Tensor:
    """Mean binary cross-entropy over pixels and masks (equation 3). ``logits`` and ``masks`` [K, M, M]."""
    return functional.binary_cross_entropy_with_logits(logits.float(), masks.float())


def coverage_loss(logits: Tensor, coverage: Tensor, positive: Tensor) -> Tensor:
    """Binary cross-entropy between image tokens and the share of them that each part covers; summed over parts, mean over tokens.

    ``logits`` and ``coverage`` [image tokens, parts], NaN where nobody knows; ``positive`` [parts] weighs where a part is against where
    it is not, for findings that cover few tokens of few images. Not in the paper: a vision tower without pre-trained weights learns
    places from it.
    """
    target, known = coverage.float().nan_to_num(), ~coverage.isnan()
    lost = functional.binary_cross_entropy_with_logits(logits.float(), target, pos_weight=positive, reduction="none")
    return (lost * known).sum(1).mean()


def quality_loss(predicted_iou: Tensor, logits: Tensor, masks: Tensor) -> Tensor:
    """Mean squared error between the predicted and the true IoU of each mask (SAM 2's own loss; the mask score is built on it).

    ``predicted_iou`` [K], ``logits`` and ``masks`` [K, M, M].
    """
    mine, target = (logits.detach() > 0).flatten(1), (masks > 0.5).flatten(1)
    iou = (mine & target).sum(1) / (mine | target).sum(1).clamp(min=1)
    return functional.mse_loss(predicted_iou.float(), iou.float())


def prompt_loss(projected: Tensor, learned: Tensor) -> Tensor:
    """Mean squared error between projected ``[SEG]`` states and the prompts [K, channel] that the segmenter learned for the same labels.

    Not in the paper, whose SAM 2 knows points beforehand: ours knows a prompt for each label, and a projector finds its way there in
    minutes, when through the masks alone it takes hours.
    """
    return functional.mse_loss(projected.float(), learned.float())


class _ScaleGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.factor, None


def scale_gradient(tensor: Tensor, factor: float) -> Tensor:
    """Return ``tensor`` unchanged; the gradient that flows back through it is multiplied by ``factor``."""
    scaled: Tensor = _ScaleGradient.apply(tensor, factor)
    return scaled
