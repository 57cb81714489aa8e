"""Writing token by token: rows of text that grow together, each with its keys and values in one place.

The same arithmetic as transformers' text tower (a test compares them), in the few operations that one new token for each row needs:
in a small model most of a token's time is what surrounds its products. Two facts of Qwen2.5-VL make it short: a token of text has
the same rotary position on all three axes, so the sections do not matter; and queries that share a key are rows of one product.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional
from transformers import DynamicCache
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLDecoderLayer, Qwen2_5_VLRMSNorm, Qwen2_5_VLTextModel


class Rows:
    """Rows of text in the middle of being written.

    All rows end at the same index, the shorter ones begin later: so one more token of each is one column.
    """

    def __init__(self, tower: Qwen2_5_VLTextModel, cache: DynamicCache, lengths: Sequence[int], places: Sequence[int], new: int) -> None:
        """Take over from the first pass.

        Args:
            tower: the text tower.
            cache: what it remembers of the packed prompts, one after the other in one row.
            lengths: tokens of each prompt.
            places: the rotary position of each row's next token.
            new: how many tokens may follow.
        """
        self._tower = tower
        self._length, rows = max(lengths), len(lengths)
        first = cache.layers[0].keys
        shape = rows, first.shape[1], self._length + new, first.shape[3]
        self._memory = []
        for layer in cache.layers:
            keys, values = first.new_zeros(shape), first.new_zeros(shape)
            for into, packed in ((keys, layer.keys), (values, layer.values)):
                for row, part in enumerate(packed[0].split(list(lengths), 1)):
                    into[row, :, self._length - lengths[row] : self._length] = part
            self._memory.append((keys, values))
        self._visible: torch.Tensor | None = None
        if min(lengths) < self._length:
            begins = self._length - torch.tensor(lengths, device=first.device)
            self._visible = (torch.arange(shape[2], device=first.device) >= begins[:, None])[:, None, None]
        self._places = torch.tensor(places, device=first.device)
        table = torch.arange(max(places) + new, device=first.device)
        cosines, sines = (each[0] for each in tower.rotary_emb(first, table.expand(3, 1, -1)))
        half = sines.shape[1] // 2
        self._cosines, self._sines = cosines, torch.cat([-sines[:, :half], sines[:, half:]], 1)

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with some of the rows only: their indices [row]."""
        self._memory = [(keys[rows], values[rows]) for keys, values in self._memory]
        self._visible = None if self._visible is None else self._visible[rows]
        self._places = self._places[rows]

    def write(self, tokens: torch.Tensor) -> torch.Tensor:
        """Add one token to each row [row]; return the last-layer states that follow from it [row, channel]."""
        rows, last, stop = len(tokens), self._length, self._length + 1
        cosine, sine = self._cosines[self._places][:, None], self._sines[self._places][:, None]
        visible = None if self._visible is None else self._visible[..., :stop]
        state = self._tower.embed_tokens(tokens)
        for layer, (keys, values) in zip(self._tower.layers, self._memory, strict=True):
            attention, heads, channels = layer.self_attn, keys.shape[1], keys.shape[3]
            seen = _normalised(state, layer.input_layernorm)
            turned = torch.cat([attention.q_proj(seen), attention.k_proj(seen)], 1).view(rows, -1, channels)
            first, second = turned.chunk(2, -1)
            turned = torch.addcmul(turned * cosine, torch.cat((second, first), -1), sine)
            keys[:, :, last] = turned[:, -heads:]
            values[:, :, last] = attention.v_proj(seen).view(rows, heads, channels)
            query = turned[:, :-heads].reshape(rows, heads, -1, channels)
            attended = functional.scaled_dot_product_attention(
                query, keys[:, :, :stop], values[:, :, :stop], attn_mask=visible, scale=attention.scaling
            )
            state = torch.addmm(state, attended.reshape(rows, -1), attention.o_proj.weight.T)
            seen = _normalised(state, layer.post_attention_layernorm)
            state = torch.addmm(state, functional.silu(layer.mlp.gate_proj(seen)) * layer.mlp.up_proj(seen), layer.mlp.down_proj.weight.T)
        self._length = stop
        self._places = self._places + 1
        return _normalised(state, self._tower.norm)


class SmallRows(Rows):
    """Rows of a small text tower, where calls cost more than products: its weights are copied once, joined and transposed.

    Queries and keys come with their halves swapped beside them, so that turning them takes two operations.
    """

    FEWER_THAN = 50_000_000
    """Parameters of a text tower whose copy is made in the time of a token or two."""

    def __init__(self, tower: Qwen2_5_VLTextModel, cache: DynamicCache, lengths: Sequence[int], places: Sequence[int], new: int) -> None:
        super().__init__(tower, cache, lengths, places, new)
        channels = self._cosines.shape[1]
        self._layers = [_Joined(layer, channels) for layer in tower.layers]

    def write(self, tokens: torch.Tensor) -> torch.Tensor:
        """See :meth:`Rows.write`."""
        rows, last, stop = len(tokens), self._length, self._length + 1
        cosine, sine = self._cosines[self._places][:, None], self._sines[self._places][:, None]
        visible = None if self._visible is None else self._visible[..., :stop]
        state = self._tower.embed_tokens(tokens)
        for layer, (keys, values) in zip(self._layers, self._memory, strict=True):
            heads, channels = keys.shape[1], keys.shape[3]
            plain, swapped, value = torch.addmm(layer.bias, _scaled(state, layer.epsilon), layer.attend).split(layer.parts, 1)
            turned = torch.addcmul(plain.view(rows, -1, channels) * cosine, swapped.view(rows, -1, channels), sine)
            keys[:, :, last] = turned[:, -heads:]
            values[:, :, last] = value.view(rows, heads, channels)
            query = turned[:, :-heads].reshape(rows, heads, -1, channels)
            attended = functional.scaled_dot_product_attention(
                query, keys[:, :, :stop], values[:, :, :stop], attn_mask=visible, scale=layer.scale
            )
            state = torch.addmm(state, attended.reshape(rows, -1), layer.out)
            gate, up = (_scaled(state, layer.epsilon) @ layer.widen).chunk(2, 1)
            state = torch.addmm(state, functional.silu(gate) * up, layer.narrow)
        self._length = stop
        self._places = self._places + 1
        return _normalised(state, self._tower.norm)


class _Joined:
    """One layer's weights [in, out], those that see the same state joined, their norms multiplied in."""

    def __init__(self, layer: Qwen2_5_VLDecoderLayer, channels: int) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.scale: float = attention.scaling
        self.epsilon: float = layer.input_layernorm.variance_epsilon
        turned = torch.cat([attention.q_proj.weight, attention.k_proj.weight])
        turned_bias = torch.cat([attention.q_proj.bias, attention.k_proj.bias])
        swapped = turned.view(-1, 2, channels // 2, turned.shape[1]).flip(1).reshape(turned.shape)
        swapped_bias = turned_bias.view(-1, 2, channels // 2).flip(1).flatten()
        self.parts = [len(turned), len(turned), len(attention.v_proj.weight)]
        self.attend = _transposed(torch.cat([turned, swapped, attention.v_proj.weight]) * layer.input_layernorm.weight)
        self.bias = torch.cat([turned_bias, swapped_bias, attention.v_proj.bias])
        self.out = _transposed(attention.o_proj.weight)
        self.widen = _transposed(torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]) * layer.post_attention_layernorm.weight)
        self.narrow = _transposed(mlp.down_proj.weight)


def _transposed(weight: torch.Tensor) -> torch.Tensor:
    return weight.T.contiguous()


def _scaled(state: torch.Tensor, epsilon: float) -> torch.Tensor:
    """Divide each state [row, channel] by its root mean square, taken in float32."""
    wide = state.float()
    return (wide * torch.rsqrt(torch.linalg.vecdot(wide, wide)[:, None] / wide.shape[1] + epsilon)).to(state.dtype)


def _normalised(state: torch.Tensor, norm: Qwen2_5_VLRMSNorm) -> torch.Tensor:
    return norm.weight * _scaled(state, norm.variance_epsilon)
