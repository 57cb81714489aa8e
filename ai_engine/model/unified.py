"""The unified model after Citrus-V: Qwen2.5-VL writes, a projector turns each [SEG] state into a prompt, SAM 2 draws the mask.

Parameter names are ``mllm.*``, ``seg_projector.{0,2}.*`` and ``grounding_encoder.sam2_model.*``. What is trained, and by which
losses, is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from transformers import DynamicCache, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from ai_engine.model.attention import PACKED, WINDOWS, FlatPatchEmbed, WindowedVisionAttention
from ai_engine.model.config import MERGE, PATCH, WINDOW, ModelConfig
from ai_engine.model.language import STRUCTURE_TOKENS, Language
from ai_engine.model.segmenter import Segmenter


@dataclass(frozen=True, eq=False)
class Thought:
    """What one packed row led to.

    Attributes:
        hidden: last-layer states [1, token, channel].
        visual: the pictures' tokens after the aligner [picture x token, channel], row-major in each picture.
    """

    hidden: torch.Tensor
    visual: torch.Tensor


@dataclass(frozen=True, eq=False)
class Generated:
    """One greedy answer.

    Attributes:
        ids: its tokens, with the closing one where it was closed.
        log_probabilities: natural logarithm of each token's probability.
        seg_states: [mark, channel], the last-layer state of every [SEG], computed with [SEG] as input.
    """

    ids: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    seg_states: torch.Tensor


class UnifiedModel(nn.Module):
    """MLLM, projector and segmenter."""

    def __init__(self, config: ModelConfig, language: Language) -> None:
        super().__init__()
        if len(language) > config.vocabulary_size:
            raise ValueError(f"The tokenizer has {len(language)} tokens, the model {config.vocabulary_size}.")
        self.config = config
        self.mllm = _build_mllm(config, language)
        hidden = config.text.hidden_size
        self.seg_projector = nn.Sequential(
            nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, config.segmenter.feature_size), nn.Dropout(0.0)
        )
        self.grounding_encoder = Segmenter(config.segmenter, config.segmenter_size)
        self._seg, self._end, self._image = language.seg, language.end, language.image
        self._tokens = len(language)
        self._never_answered = [language.special_ids[token] for token in STRUCTURE_TOKENS]
        self.initialise()

    def initialise(self) -> None:
        """Draw fresh weights. At small widths the usual deviation of 0.02 is too narrow to bind words to places; fan-in is not."""
        for module in self.mllm.modules():
            if isinstance(module, (nn.Linear, nn.Conv3d)) and module is not self.mllm.lm_head:
                nn.init.normal_(module.weight, std=0.7 * module.weight[0].numel() ** -0.5)
        # Prompts as large as SAM 2's own point embeddings, or its decoder long overlooks them.
        first, last = self.seg_projector[0], self.seg_projector[2]
        nn.init.normal_(first.weight, std=(2 / first.in_features) ** 0.5)
        nn.init.normal_(last.weight, std=last.in_features**-0.5)
        self.grounding_encoder.initialise()

    @property
    def _grid(self) -> torch.Tensor:
        side = self.config.image_size // PATCH
        return torch.tensor([[1, side, side]])

    def positions(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Return the positions [4, token] of one sample's ``input_ids`` [token]: in the text, then time, row and column.

        Packed samples are joined along the tokens; the text position restarts with each.
        """
        is_image = input_ids == self._image
        pictures = int(is_image.sum()) // self.config.visual_tokens
        places, _ = self.mllm.model.get_rope_index(
            input_ids[None], is_image.int()[None], image_grid_thw=self._grid.expand(pictures, -1) if pictures else None
        )
        in_text = torch.arange(input_ids.numel(), device=input_ids.device)
        return torch.cat([in_text[None], places[:, 0].to(in_text.device)])

    def forward(self, input_ids: torch.Tensor, position_ids: torch.Tensor, pixel_values: torch.Tensor | None = None) -> Thought:
        """Run the language model on one packed row.

        Args:
            input_ids: [1, token].
            position_ids: [4, 1, token] from :meth:`positions`.
            pixel_values: patches of all pictures in order [picture x patch, pixel]; None where there is no picture.
        """
        return self._think(input_ids, position_ids, pixel_values, None)

    def _think(
        self, input_ids: torch.Tensor, position_ids: torch.Tensor, pixel_values: torch.Tensor | None, cache: DynamicCache | None
    ) -> Thought:
        seen = {}
        visual = torch.zeros(0, self.config.text.hidden_size, device=input_ids.device)
        if pixel_values is not None and pixel_values.numel():
            patches = int(self._grid.prod())
            grids = self._grid.expand(pixel_values.shape[0] // patches, -1).to(pixel_values.device)
            seen["image"] = self.mllm.model.get_image_features(pixel_values, grids, return_dict=True)
            visual = torch.cat(seen["image"].pooler_output)
        # Positions are always given, so that transformers neither guesses them nor keeps an offset on the module between calls.
        out = self.mllm.model(
            input_ids=input_ids, position_ids=position_ids, mm_encoder_outputs=seen, past_key_values=cache, use_cache=cache is not None
        )
        return Thought(out.last_hidden_state, visual)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return token logits [..., vocabulary] of states [..., channel]."""
        scores: torch.Tensor = self.mllm.lm_head(hidden)
        return scores

    def project(self, states: torch.Tensor) -> torch.Tensor:
        """Turn [SEG] states [mark, channel] into the segmenter's prompts [mark, channel]."""
        prompts: torch.Tensor = self.seg_projector(states)
        return prompts

    def encode_image(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """See :meth:`Segmenter.encode_image`."""
        return self.grounding_encoder.encode_image(pixels)

    def decode_masks(
        self, features: list[torch.Tensor], embeddings: torch.Tensor, image_index: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See :meth:`Segmenter.decode_masks`."""
        return self.grounding_encoder.decode_masks(features, embeddings, image_index)

    @torch.no_grad()
    def generate(self, prompt_ids: Sequence[int], pixel_values: torch.Tensor, maximum_new_tokens: int) -> Generated:
        """Write the likeliest answer, token by token.

        Args:
            prompt_ids: from :func:`ai_engine.model.prompt.prompt_ids`.
            pixel_values: patches of the one picture [patch, pixel].
            maximum_new_tokens: an answer that is not closed by then stays open.
        """
        device = pixel_values.device
        prompt = torch.tensor(prompt_ids, device=device)
        places = self.positions(prompt)[1:, None]
        next_place = int(places.max()) + 1
        cache = DynamicCache(config=self.mllm.config.text_config)
        state = self._think(prompt[None], places, pixel_values, cache).hidden[:, -1]
        ids: list[int] = []
        log_probabilities: list[float] = []
        seg_states: list[torch.Tensor] = []
        while len(ids) < maximum_new_tokens:
            scores = self.logits(state)[0, : self._tokens].float()
            scores[self._never_answered] = -torch.inf
            token = int(scores.argmax())
            ids.append(token)
            log_probabilities.append(float(scores.log_softmax(-1)[token]))
            if token == self._end:
                break
            # Every token is fed, the last one too: a [SEG] at the very end still gets its state.
            state = self._think(
                torch.tensor([[token]], device=device), torch.full((3, 1, 1), next_place, device=device), None, cache
            ).hidden[:, -1]
            next_place += 1
            if token == self._seg:
                seg_states.append(state[0])
        states = torch.stack(seg_states) if seg_states else torch.zeros(0, self.config.text.hidden_size, device=device)
        return Generated(tuple(ids), tuple(log_probabilities), states)


def _build_mllm(config: ModelConfig, language: Language) -> Qwen2_5_VLForConditionalGeneration:
    text, vision, ids = config.text, config.vision, language.special_ids
    qwen = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": config.vocabulary_size,
            "hidden_size": text.hidden_size,
            "intermediate_size": text.intermediate_size,
            "num_hidden_layers": text.layers,
            "num_attention_heads": text.heads,
            "num_key_value_heads": text.key_value_heads,
            "max_position_embeddings": text.maximum_positions,
            "rms_norm_eps": 1e-6,
            "bos_token_id": ids["<|endoftext|>"],
            "eos_token_id": language.end,
            "pad_token_id": ids["<|endoftext|>"],
            "rope_parameters": {"rope_type": "default", "rope_theta": text.rope_theta, "mrope_section": list(text.mrope_section)},
        },
        vision_config={
            "depth": vision.layers,
            "hidden_size": vision.hidden_size,
            "intermediate_size": vision.intermediate_size,
            "num_heads": vision.heads,
            "out_hidden_size": text.hidden_size,
            "patch_size": PATCH,
            "spatial_merge_size": MERGE,
            "window_size": WINDOW,
            "fullatt_block_indexes": list(vision.full_attention_layers),
        },
        image_token_id=language.image,
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=text.tie_word_embeddings,
    )
    mllm = Qwen2_5_VLForConditionalGeneration._from_config(qwen, attn_implementation=PACKED)
    visual = mllm.model.visual
    visual.config._attn_implementation = WINDOWS
    visual.patch_embed = FlatPatchEmbed(patch_size=PATCH, embed_dim=vision.hidden_size)
    for block in visual.blocks:
        block.attn = WindowedVisionAttention(visual.config)
    return mllm
