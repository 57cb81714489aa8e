"""SAM 2 as the segmenter: one image, many prompts that are projected [SEG] states, one mask for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import Sam2Config, Sam2Model, Sam2VideoConfig, Sam2VideoModel

from ai_engine.model.attention import WINDOWS
from ai_engine.model.config import MASK_STRIDE, MEMORY_CHANNELS, MemoryConfig, SegmenterConfig


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
        """Return the logits and the expected IoU of :meth:`decode`."""
        decoded = self.decode(features, embeddings, image_index)
        return decoded.logits, decoded.expected_iou

    def decode(self, features: list[torch.Tensor], embeddings: torch.Tensor, image_index: torch.Tensor | None = None) -> Decoded:
        """Decode one mask for each prompt.

        Args:
            features: what :meth:`encode_image` returned.
            embeddings: [mask, channel], projected [SEG] states.
            image_index: [mask], which image each mask is of; None where there is one image.
        """
        count = embeddings.shape[0]
        if count == 0:  # a packed row without [SEG]; the decoder cannot reshape nothing
            nothing = features[0].new_zeros(0)
            return Decoded(features[0].new_zeros(0, *features[0].shape[-2:]), nothing, embeddings, nothing)
        if image_index is None:
            image_index = torch.zeros(count, dtype=torch.long, device=embeddings.device)
        *finer, image = (level.index_select(0, image_index) for level in features)
        prompts = self.sam2_model.prompt_encoder
        padding = prompts.not_a_point_embed.weight.expand(count, self._padding_points, -1).to(embeddings.dtype)
        sparse = torch.cat([padding, embeddings[:, None]], dim=1)
        logits, iou, tokens, presence = self.sam2_model.mask_decoder(
            image_embeddings=image,
            image_positional_embeddings=self.sam2_model.get_image_wide_positional_embeddings().expand(count, -1, -1, -1),
            sparse_prompt_embeddings=sparse[:, None],
            dense_prompt_embeddings=prompts.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(count, -1, *image.shape[-2:]),
            multimask_output=self._multimask,
            high_resolution_features=finer,
        )
        # Of several masks for one prompt the one that expects the highest IoU, with its token, as SAM 2 chooses.
        mask, best = torch.arange(count, device=iou.device), iou[:, 0].argmax(1)
        return Decoded(logits[mask, 0, best], iou[mask, 0, best], tokens[mask, 0, best], presence[:, 0, 0])


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
