"""The same attention, faster on a CPU: same parameters, same results.

Registered with transformers under two names, and one subclass of each of two vision modules; nothing of transformers is changed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (
    Qwen2_5_VisionPatchEmbed,
    Qwen2_5_VLVisionAttention,
    apply_rotary_pos_emb_vision,
)

WINDOWS = "sightline_windows"
"""For the encoders, whose windows are many and small."""
PACKED = "sightline_packed"
"""For the text tower: packed samples attend to themselves only, without a mask over the whole row."""

_SMALL = 256


def _is_small_training(query: torch.Tensor, length: int) -> bool:
    # The backward pass of the flash kernel in bfloat16 is three to four times slower than plain products on short sequences.
    return query.requires_grad and query.dtype == torch.bfloat16 and length <= _SMALL


def _plain(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float, is_causal: bool = False) -> torch.Tensor:
    scores = (query * scaling) @ key.transpose(-1, -2)
    if is_causal:
        scores = scores + torch.full_like(scores[0, 0], -torch.inf, requires_grad=False).triu(1)
    return scores.softmax(-1, dtype=torch.float32).to(value.dtype) @ value


def _causal(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None) -> torch.Tensor:
    """Attend causally within one sample [1, head, token, channel]; fewer heads of keys and values are shared out."""
    if scaling is None or not _is_small_training(query, query.shape[2]):
        return functional.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling, enable_gqa=True)
    shared = query.shape[1] // key.shape[1]
    return _plain(query, key.repeat_interleave(shared, 1), value.repeat_interleave(shared, 1), scaling, is_causal=True)


def _windows_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **rest: Any,
) -> tuple[torch.Tensor, None]:
    """Attend [batch, head, token, channel]; returns [batch, token, head, channel]."""
    same_heads = key.shape[1] == query.shape[1]
    if attention_mask is None and is_causal is False and same_heads and scaling is not None and _is_small_training(query, key.shape[-2]):
        return _plain(query, key, value, scaling).transpose(1, 2).contiguous(), None
    return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, is_causal=is_causal, **rest)


def _packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    scaling: float | None = None,
    position_ids: torch.Tensor | None = None,
    **rest: Any,
) -> tuple[torch.Tensor, None]:
    """Attend causally within each sample of a packed row; a sample begins where the text position restarts at zero."""
    if attention_mask is None and position_ids is not None and query.shape[0] == 1 and query.shape[2] == key.shape[2] > 1:
        starts = (position_ids[0] == 0).nonzero().flatten().tolist()
        lengths = [stop - start for start, stop in zip(starts, [*starts[1:], query.shape[2]], strict=True)]
        samples = zip(query.split(lengths, 2), key.split(lengths, 2), value.split(lengths, 2), strict=True)
        attended = [_causal(*sample, scaling) for sample in samples]
        return torch.cat(attended, 2).transpose(1, 2).contiguous(), None
    return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, position_ids=position_ids, **rest)


def _packed_mask(
    *sizes: Any, q_length: int, kv_length: int, attention_mask: torch.Tensor | None = None, **rest: Any
) -> torch.Tensor | None:
    if attention_mask is None and q_length == kv_length:
        return None
    mask: torch.Tensor | None = sdpa_mask(*sizes, q_length=q_length, kv_length=kv_length, attention_mask=attention_mask, **rest)
    return mask


AttentionInterface.register(WINDOWS, _windows_attention)
AttentionMaskInterface.register(WINDOWS, sdpa_mask)
AttentionInterface.register(PACKED, _packed_attention)
AttentionMaskInterface.register(PACKED, _packed_mask)


class FlatPatchEmbed(Qwen2_5_VisionPatchEmbed):
    """The patch embedding as one product: a convolution whose stride is its kernel, without the slow 3D convolution."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Embed patches [patch, pixel] as [patch, channel]."""
        weight = self.proj.weight
        return functional.linear(hidden_states.reshape(-1, weight[0].numel()).to(weight.dtype), weight.flatten(1))


class WindowedVisionAttention(Qwen2_5_VLVisionAttention):
    """Vision attention with all windows in one call where they are of one size, instead of one call for each."""

    def forward(
        self,
        hidden_states: torch.Tensor,
        cu_seqlens: torch.Tensor,
        position_embeddings: tuple[torch.Tensor, torch.Tensor] | None = None,
        **rest: Any,
    ) -> torch.Tensor:
        """Attend [patch, channel] within the windows that begin at ``cu_seqlens``."""
        patches, windows = hidden_states.shape[0], cu_seqlens.numel() - 1
        length = patches // windows
        if position_embeddings is None or not bool((cu_seqlens.diff() == length).all()):
            attended: torch.Tensor = super().forward(hidden_states, cu_seqlens, position_embeddings=position_embeddings, **rest)
            return attended
        query, key, value = self.qkv(hidden_states).reshape(patches, 3, self.num_heads, -1).unbind(1)
        query, key = apply_rotary_pos_emb_vision(query, key, *position_embeddings)
        query, key, value = (
            tensor.to(value.dtype).view(windows, length, self.num_heads, -1).transpose(1, 2) for tensor in (query, key, value)
        )
        if _is_small_training(query, length):
            out = _plain(query, key, value, self.scaling)
        else:
            out = functional.scaled_dot_product_attention(query, key, value, scale=self.scaling)
        projected: torch.Tensor = self.proj(out.transpose(1, 2).reshape(patches, -1))
        return projected
