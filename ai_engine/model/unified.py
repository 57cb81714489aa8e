"""The unified model after Citrus-V: Qwen2.5-VL writes, a projector turns each [SEG] state into a prompt, SAM 2 draws the mask.

Parameter names are ``mllm.*``, ``seg_projector.{0,2}.*`` and ``grounding_encoder.sam2_model.*``. What is trained, and by which
losses, is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import nn
from transformers import DynamicCache, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutputWithPooling

from ai_engine.model.attention import PACKED, WINDOWS, FlatPatchEmbed, WindowedVisionAttention
from ai_engine.model.boxed import Brackets
from ai_engine.model.config import MERGE, PATCH, WINDOW, ModelConfig
from ai_engine.model.decoding import Rows, SmallRows
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
        self._brackets = Brackets(language)
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
        if pixel_values is None or not pixel_values.numel():
            visual = torch.zeros(0, self.config.text.hidden_size, device=input_ids.device)
        else:
            visual = self.see(pixel_values)
        return Thought(self._think(input_ids, position_ids, visual), visual)

    def see(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Return the tokens after the aligner [picture x token, channel] of pictures' patches [picture x patch, pixel]."""
        patches = int(self._grid.prod())
        grids = self._grid.expand(pixel_values.shape[0] // patches, -1).to(pixel_values.device)
        return torch.cat(self.mllm.model.get_image_features(pixel_values, grids, return_dict=True).pooler_output)

    def _think(
        self,
        input_ids: torch.Tensor,
        position_ids: torch.Tensor,
        visual: torch.Tensor,
        cache: DynamicCache | None = None,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the last-layer states [1, token, channel] of a packed row; ``mask`` [1, 1, token, key] if the packing is not simple."""
        # Positions are always given, so that transformers neither guesses them nor keeps an offset on the module between calls.
        hidden: torch.Tensor = self.mllm.model(
            input_ids=input_ids,
            position_ids=position_ids,
            attention_mask=None if mask is None else {"full_attention": mask},
            mm_encoder_outputs={"image": BaseModelOutputWithPooling(pooler_output=[visual])} if len(visual) else {},
            past_key_values=cache,
            use_cache=cache is not None,
        ).last_hidden_state
        return hidden

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return token logits [..., vocabulary] of states [..., channel]."""
        scores: torch.Tensor = self.mllm.lm_head(hidden)
        return scores

    def project(self, states: torch.Tensor) -> torch.Tensor:
        """Turn [SEG] states [mark, channel] into the segmenter's prompts [mark, channel]."""
        prompts: torch.Tensor = self.seg_projector(states.to(self.seg_projector[0].weight.dtype))
        return prompts

    def encode_image(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """See :meth:`Segmenter.encode_image`."""
        return self.grounding_encoder.encode_image(pixels)

    def decode_masks(
        self, features: list[torch.Tensor], embeddings: torch.Tensor, image_index: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See :meth:`Segmenter.decode_masks`."""
        return self.grounding_encoder.decode_masks(features, embeddings, image_index)

    @torch.inference_mode()
    def generate(self, prompts: Sequence[Sequence[int]], visual: torch.Tensor, maximum_new_tokens: int) -> list[Generated]:
        """Write the likeliest answer to each prompt, all at once, token by token; an answer that is closed leaves the others.

        Inside a box only numbers are written. What a prompt is answered does not depend on the others.

        Args:
            prompts: each from :func:`ai_engine.model.prompt.prompt_ids`.
            visual: the tokens of their pictures in order, from :meth:`see`.
            maximum_new_tokens: an answer that is not closed by then stays open.
        """
        device = visual.device
        tokens = [torch.tensor(prompt, device=device) for prompt in prompts]
        positions = [self.positions(prompt) for prompt in tokens]
        cache = DynamicCache(config=self.mllm.config.text_config)
        hidden = self._think(torch.cat(tokens)[None], torch.cat(positions, 1)[:, None], visual, cache)[0]
        lengths = [len(prompt) for prompt in prompts]
        state = hidden[torch.tensor(lengths).cumsum(0) - 1]
        places = [int(each[1:].max()) + 1 for each in positions]
        tower = self.mllm.model.language_model
        small = sum(parameter.numel() for parameter in tower.parameters()) < SmallRows.FEWER_THAN
        rows = (SmallRows if small else Rows)(tower, cache, lengths, places, maximum_new_tokens)
        forbidden = self._forbidden(device)
        in_box = torch.stack([torch.zeros_like(forbidden), self._brackets.added(forbidden)])
        answers = [_Answer() for _ in prompts]
        writing = answers
        for _ in range(maximum_new_tokens):
            chosen, log_probabilities = self._choose(state, forbidden, in_box[[int(answer.is_in_box) for answer in writing]])
            for answer, token, log_probability in zip(writing, chosen.tolist(), log_probabilities.tolist(), strict=True):
                answer.is_in_box = self._brackets.is_open(answer.is_in_box, token, is_first=not answer.ids)
                answer.ids.append(token)
                answer.log_probabilities.append(log_probability)
            going_on = [index for index, answer in enumerate(writing) if answer.ids[-1] != self._end]
            if not going_on:
                break
            if len(going_on) < len(writing):
                writing = [writing[index] for index in going_on]
                kept = torch.tensor(going_on, device=device)
                chosen = chosen[kept]
                rows.keep(kept)
            # Every token is fed, the last one too: a [SEG] at the very end still gets its state.
            state = rows.write(chosen)
            for answer, each in zip(writing, state, strict=True):
                if answer.ids[-1] == self._seg:
                    answer.seg_states.append(each)
        none = visual.new_zeros(0, self.config.text.hidden_size)
        return [
            Generated(tuple(each.ids), tuple(each.log_probabilities), torch.stack(each.seg_states) if each.seg_states else none)
            for each in answers
        ]

    def _choose(self, state: torch.Tensor, forbidden: torch.Tensor, form: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the likeliest token after each state [row, channel] and its log probability.

        ``forbidden`` [token] is what is never answered and has no probability; ``form`` [row, token] bars what does not belong there.
        """
        scores = self.logits(state)[:, : self._tokens].float() + forbidden
        chosen = (scores + form).argmax(-1)
        return chosen, scores.gather(1, chosen[:, None])[:, 0] - scores.logsumexp(-1)

    def _forbidden(self, device: torch.device) -> torch.Tensor:
        """Return what is added to the scores [token]: minus infinity for tokens that an answer never holds."""
        added = torch.zeros(self._tokens, device=device)
        added[self._never_answered] = -torch.inf
        return added

    @torch.inference_mode()
    def continued(self, beginning: Sequence[int], endings: Sequence[Sequence[int]], visual: torch.Tensor) -> torch.Tensor:
        """Return the last state [ending, channel] of ``beginning`` with each ending.

        The beginning, which holds the picture, is thought once; the endings see it and themselves, not each other.

        Args:
            beginning: the prompts' common tokens.
            endings: what follows them, one for each prompt.
            visual: the tokens of the one picture, from :meth:`see`.
        """
        device = visual.device
        start = torch.tensor(beginning, device=device)
        cache = DynamicCache(config=self.mllm.config.text_config)
        places = self.positions(start)
        self._think(start[None], places[:, None], visual, cache)
        lengths = torch.tensor([len(ending) for ending in endings], device=device)
        which = torch.arange(len(endings), device=device).repeat_interleave(lengths)
        index = torch.cat([torch.arange(len(ending), device=device) for ending in endings])
        visible = (which[:, None] == which) & (index[:, None] >= index)
        mask = torch.cat([visible.new_ones(len(which), len(start)), visible], 1)[None, None]
        row = torch.tensor([token for ending in endings for token in ending], device=device)
        next_place = int(places[1:].max()) + 1
        hidden = self._think(row[None], (next_place + index).expand(3, 1, -1), visual[:0], cache, mask)[0]
        return hidden[lengths.cumsum(0) - 1]

    @torch.inference_mode()
    def chances(self, states: torch.Tensor) -> torch.Tensor:
        """Return the probability of every token [state, token] to follow each of ``states`` [state, channel] in an answer."""
        scores = self.logits(states)[:, : self._tokens].float()
        return (scores + self._forbidden(states.device)).softmax(-1)


@dataclass(eq=False)
class _Answer:
    """One answer while it is written."""

    is_in_box: bool = False
    ids: list[int] = field(default_factory=list)
    log_probabilities: list[float] = field(default_factory=list)
    seg_states: list[torch.Tensor] = field(default_factory=list)


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
