"""SAM 2 as the segmenter: one image, many prompts ([SEG] states, points, boxes, a mask to correct), one mask for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import nn
from transformers import Sam2Config, Sam2Model, Sam2VideoConfig, Sam2VideoModel

from ai_engine.model.attention import WINDOWS
from ai_engine.model.config import MASK_STRIDE, MEMORY_CHANNELS, MemoryConfig, SegmenterConfig

NO_POINT, NEGATIVE, POSITIVE, FIRST_CORNER, LAST_CORNER = -1, 0, 1, 2, 3
"""What a point says (SAM 2): nothing, that the object is not there, that it is there, or that its box begins or ends there."""


@dataclass(frozen=True, eq=False)
class Prompts:
    """What says which objects are meant, a row for each: by states, by points or by both.

    Attributes:
        states: [mask, channel], projected [SEG] states.
        points: [mask, point, 2], places (row, column) on the segmenter's picture in pixels from its corner.
        kinds: [mask, point], what each point says.
        masks: [mask, row, column], logits on the mask's grid of masks that are to be corrected.
    """

    states: torch.Tensor | None = None
    points: torch.Tensor | None = None
    kinds: torch.Tensor | None = None
    masks: torch.Tensor | None = None

    @classmethod
    def none(cls, count: int, like: torch.Tensor) -> Self:
        """Say nothing of ``count`` masks, as SAM 2 does: with one point that is none."""
        return cls(points=like.new_zeros(count, 1, 2), kinds=torch.full((count, 1), NO_POINT, device=like.device))

    def __len__(self) -> int:
        """How many masks are meant."""
        return len(next(each for each in (self.states, self.points) if each is not None))

    @property
    def is_ambiguous(self) -> bool:
        """Whether several objects may be meant: no mask is to be corrected, and there is one point at most."""
        return self.masks is None and (self.points is None or self.points.shape[1] <= 1)


@dataclass(frozen=True, eq=False)
class Decoded:
    """What the decoder says of each prompt.

    Attributes:
        logits: [mask, row, column] on a grid over the whole picture.
        expected_iou: [mask], 0 to 1.
        tokens: [mask, channel], what the decoder knows of each mask; the memory points at objects with it.
        presence: [mask], logit of the object being on this image at all; learned with the memory only.
    """

    logits: torch.Tensor
    expected_iou: torch.Tensor
    tokens: torch.Tensor
    presence: torch.Tensor


def sure(masks: torch.Tensor) -> torch.Tensor:
    """Return masks, 0 to 1, as logits: -10 where they are not, 10 where they are (SAM 2)."""
    return 20 * masks - 10


class Segmenter(nn.Module):
    """``sam2_model`` keeps the names of transformers' ``Sam2Model``, or with a memory of ``Sam2VideoModel``."""

    def __init__(self, config: SegmenterConfig, size: int) -> None:
        super().__init__()
        self.memory = config.memory
        build = Sam2VideoModel if config.memory else Sam2Model
        self.sam2_model = build._from_config(_sam2_config(config, size), attn_implementation=WINDOWS)
        self._padding_points = config.padding_points
        self._multimask = config.multimask

    def initialise(self) -> None:
        """Draw fresh weights, torch's defaults: from nothing they learn faster than transformers' narrow normal.

        A fresh memory has no say: its attention passes on what it gets, and every object is taken for present.
        """
        for module in self.sam2_model.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
        if isinstance(self.sam2_model, Sam2VideoModel):
            for layer in self.sam2_model.memory_attention.layers:
                for last in (layer.self_attn.o_proj, layer.cross_attn_image.o_proj, layer.linear2):
                    nn.init.zeros_(last.weight)
                    nn.init.zeros_(last.bias)
            presence = self.sam2_model.mask_decoder.pred_obj_score_head.proj_out
            nn.init.zeros_(presence.weight)
            nn.init.ones_(presence.bias)

    def encode_image(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """Return feature maps [image, channel, row, column], finest first, of ``pixels`` [image, 3, size, size].

        Differentiable, which ``Sam2Model.get_image_embeddings`` is not.
        """
        maps = list(self.sam2_model.get_image_features(pixels, return_dict=True).fpn_hidden_states)
        maps[-1] = maps[-1] + self.sam2_model.no_memory_embedding
        sizes = self.sam2_model.backbone_feature_sizes
        return [flat.permute(1, 2, 0).reshape(pixels.shape[0], -1, *size) for flat, size in zip(maps, sizes, strict=True)]

    def decode_masks(
        self, features: list[torch.Tensor], embeddings: torch.Tensor, image_index: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits and the expected IoU of what :meth:`decode` draws for projected [SEG] states [mask, channel]."""
        decoded = self.decode(features, Prompts(embeddings), image_index)
        return decoded.logits, decoded.expected_iou

    def decode(self, features: list[torch.Tensor], prompts: Prompts, image_index: torch.Tensor | None = None) -> Decoded:
        """Decode one mask for each prompt.

        Args:
            features: what :meth:`encode_image` returned.
            prompts: which objects are meant.
            image_index: [mask], which image each mask is of; None where there is one image.
        """
        count, device = len(prompts), features[0].device
        if count == 0:  # a packed row without [SEG]; the decoder cannot reshape nothing
            nothing = features[0].new_zeros(0)
            return Decoded(
                features[0].new_zeros(0, *features[0].shape[-2:]), nothing, features[-1].new_zeros(0, features[-1].shape[1]), nothing
            )
        if image_index is None:
            image_index = torch.zeros(count, dtype=torch.long, device=device)
        *finer, image = (level.index_select(0, image_index) for level in features)
        sparse, dense = self._embedded(prompts)
        places = self.sam2_model.get_image_wide_positional_embeddings().to(image.dtype)
        logits, iou, tokens, presence = self.sam2_model.mask_decoder(
            image_embeddings=image,
            image_positional_embeddings=places.expand(count, -1, -1, -1),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=self._multimask and prompts.is_ambiguous,
            high_resolution_features=finer,
        )
        # Of several masks for one prompt the one that expects the highest IoU, with its token, as SAM 2 chooses.
        mask, best = torch.arange(count, device=iou.device), iou[:, 0].argmax(1)
        return Decoded(logits[mask, 0, best], iou[mask, 0, best], tokens[mask, 0, best], presence[:, 0, 0])

    def _embedded(self, prompts: Prompts) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the prompts as the decoder takes them: tokens [mask, 1, token, channel], and what is added to the picture's cells."""
        encoder = self.sam2_model.prompt_encoder
        points = kinds = None
        if prompts.points is not None and prompts.kinds is not None:
            points, kinds = prompts.points.flip(-1)[:, None] - 0.5, prompts.kinds[:, None]  # SAM 2 counts x, y from a pixel's centre
        sparse, dense = encoder(points, kinds, None, None if prompts.masks is None else prompts.masks[:, None])
        if prompts.states is not None:
            if sparse is None:
                sparse = encoder.not_a_point_embed.weight.expand(len(prompts), 1, self._padding_points, -1).to(prompts.states.dtype)
            sparse = torch.cat([sparse, prompts.states[:, None, None]], dim=2)
        return sparse, dense


def _sam2_config(config: SegmenterConfig, size: int) -> Sam2Config | Sam2VideoConfig:
    channels = [config.embedding_size * 2**stage for stage in range(4)]
    cells = size // MASK_STRIDE
    parts = {
        "vision_config": {
            "model_type": "sam2_vision_model",
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "image_size": [size, size],
                "hidden_size": config.embedding_size,
                "num_attention_heads": config.heads[0],
                "blocks_per_stage": list(config.layers),
                "embed_dim_per_stage": channels,
                "num_attention_heads_per_stage": list(config.heads),
                "window_size_per_stage": list(config.windows),
                "global_attention_blocks": list(config.global_attention_layers),
            },
            "backbone_channel_list": channels[::-1],
            "backbone_feature_sizes": [[cells // scale] * 2 for scale in (1, 2, 4)],
            "fpn_hidden_size": config.feature_size,
        },
        "prompt_encoder_config": {"image_size": size, "hidden_size": config.feature_size},
        "mask_decoder_config": {
            "hidden_size": config.feature_size,
            "mlp_dim": config.decoder_intermediate_size,
            "num_hidden_layers": 2,
            "num_attention_heads": config.decoder_heads,
            "iou_head_hidden_dim": config.feature_size,
            "dynamic_multimask_via_stability": False,
        },
    }
    return Sam2VideoConfig(**parts, **_memory_config(config.memory, config.feature_size, size)) if config.memory else Sam2Config(**parts)


def _memory_config(memory: MemoryConfig, channels: int, size: int) -> dict[str, Any]:
    return {
        "image_size": size,
        "num_maskmem": memory.masks,
        "max_object_pointers_in_encoder": memory.pointers,
        "enable_temporal_pos_encoding_for_object_pointers": memory.sam2_1,
        "enable_occlusion_spatial_embedding": memory.sam2_1,
        "memory_attention_hidden_size": channels,
        "memory_attention_num_layers": memory.layers,
        "memory_attention_feed_forward_hidden_size": memory.intermediate_size,
        "memory_attention_dropout": 0.0,
        "memory_attention_rope_dropout": 0.0,
        "memory_attention_rope_feat_sizes": [size // (4 * MASK_STRIDE)] * 2,
        "memory_encoder_hidden_size": channels,
        "memory_encoder_output_channels": MEMORY_CHANNELS,
        "mask_downsampler_embed_dim": channels,
        "memory_fuser_embed_dim": channels,
        "memory_fuser_intermediate_dim": 4 * channels,
    }
