"""Citrus-V as its authors publish it: the names of its tensors and its ``config.json``, both ways.

The language model's names are transformers', as ours are. SAM 2's are those of Meta's ``sam2`` package. The table below is the
whole difference; the facts are from the authors' repository (jdh-algo/Citrus-V) and from the two packages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from ai_engine.model.config import EIGHT_B, MERGE, PATCH, WINDOW, ModelConfig, TextConfig, VisionConfig
from ai_engine.model.language import END, Language
from radiology.errors import EngineError

MODEL_TYPE = "citrus_v"
ADDED_TOKENS = ("[SEG]", "<bbox>", "</bbox>")
"""Added to Qwen2.5-VL's vocabulary in this order, as 151665 to 151667: rows that its embedding already has."""

_SAM2 = "grounding_encoder.sam2_model."
_HEADS = r"(output_hypernetworks_mlps\.\d|iou_prediction_head|pred_obj_score_head|obj_ptr_proj)"
_SAM2_NAMES: tuple[tuple[str, str], ...] = (
    # the parts
    (r"^vision_encoder\.backbone\.", "image_encoder.trunk."),
    (r"^vision_encoder\.", "image_encoder."),
    (r"^prompt_encoder\.", "sam_prompt_encoder."),
    (r"^mask_decoder\.", "sam_mask_decoder."),
    (r"^object_pointer_proj\.", "obj_ptr_proj."),
    (r"^temporal_positional_encoding_projection_layer\.", "obj_ptr_tpos_proj."),
    (r"^no_memory_embedding$", "no_mem_embed"),
    (r"^no_memory_positional_encoding$", "no_mem_pos_enc"),
    (r"^memory_temporal_positional_encoding$", "maskmem_tpos_enc"),
    (r"^no_object_pointer$", "no_obj_ptr"),
    (r"^occlusion_spatial_embedding_parameter$", "no_obj_embed_spatial"),
    # transformers keeps a second copy for points, of which we never give any
    (
        r"^(shared_image_embedding|sam_prompt_encoder\.shared_embedding)\.positional_embedding$",
        r"sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
    ),
    # image encoder
    (r"trunk\.patch_embed\.projection\.", "trunk.patch_embed.proj."),
    (r"neck\.convs\.(\d)\.", r"neck.convs.\1.conv."),
    # prompt encoder
    (r"mask_embed\.conv1\.", "mask_downscaling.0."),
    (r"mask_embed\.layer_norm1\.", "mask_downscaling.1."),
    (r"mask_embed\.conv2\.", "mask_downscaling.3."),
    (r"mask_embed\.layer_norm2\.", "mask_downscaling.4."),
    (r"mask_embed\.conv3\.", "mask_downscaling.6."),
    # mask decoder and the pointer's projection
    (r"\.upscale_conv1\.", ".output_upscaling.0."),
    (r"\.upscale_layer_norm\.", ".output_upscaling.1."),
    (r"\.upscale_conv2\.", ".output_upscaling.3."),
    (r"\.layer_norm_final_attn\.", ".norm_final_attn."),
    (_HEADS + r"\.proj_out\.", r"\1.layers.2."),
    (_HEADS + r"\.layers\.0\.", r"\1.layers.1."),
    (_HEADS + r"\.proj_in\.", r"\1.layers.0."),
    # memory encoder: convolution, norm and activation of each step count in one sequence
    *((rf"mask_downsampler\.layers\.{step}\.conv\.", f"mask_downsampler.encoder.{3 * step}.") for step in range(4)),
    *((rf"mask_downsampler\.layers\.{step}\.layer_norm\.", f"mask_downsampler.encoder.{3 * step + 1}.") for step in range(4)),
    (r"mask_downsampler\.final_conv\.", "mask_downsampler.encoder.12."),
    (r"^memory_encoder\.feature_projection\.", "memory_encoder.pix_feat_proj."),
    (r"^memory_encoder\.projection\.", "memory_encoder.out_proj."),
    (r"^memory_encoder\.memory_fuser\.", "memory_encoder.fuser."),
    (r"\.depthwise_conv\.", ".dwconv."),
    (r"\.pointwise_conv(\d)\.", r".pwconv\1."),
    (r"(fuser\.layers\.\d)\.scale$", r"\1.gamma"),
    # everywhere
    (r"\.mlp\.proj_in\.", ".mlp.layers.0."),
    (r"\.mlp\.proj_out\.", ".mlp.layers.1."),
    (r"\.layer_norm(\d?)\.", r".norm\1."),
    (r"\.o_proj\.", ".out_proj."),
)
_POINTS = 4
"""Kinds of points and corners that SAM 2 embeds: one tensor each there, rows of one tensor here."""


def published_names(name: str) -> tuple[str, ...]:
    """Return the published name of a tensor of :class:`UnifiedModel`; four names where its rows are published one by one."""
    if name.startswith(_SAM2):
        return tuple(_SAM2 + there for there in sam2_names(name.removeprefix(_SAM2)))
    return (name,)


def sam2_names(name: str) -> tuple[str, ...]:
    """Return the name that the ``sam2`` package has for a tensor of transformers' ``Sam2Model`` or ``Sam2VideoModel``."""
    if name == "prompt_encoder.point_embed.weight":
        return tuple(f"sam_prompt_encoder.point_embeddings.{kind}.weight" for kind in range(_POINTS))
    for pattern, replacement in _SAM2_NAMES:
        name = re.sub(pattern, replacement, name)
    return (name,)


def qwen_names(name: str) -> tuple[str, ...]:
    """Return the name that Qwen2.5-VL's published folders have for a tensor of transformers' class."""
    return (re.sub(r"^model\.visual\.", "visual.", re.sub(r"^model\.language_model\.", "model.", name)),)


def published_config(config: ModelConfig, language: Language) -> dict[str, Any]:
    """Return ``config.json`` as the authors write it, with our own sizes beside theirs: they name SAM 2's only by a file."""
    text, vision, ids = config.text, config.vision, language.special_ids
    return {
        "architectures": ["CitrusV"],
        "model_type": MODEL_TYPE,
        "attention_dropout": 0.0,
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids[END],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
        "vision_token_id": ids["<|vision_pad|>"],
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "seg_token_idx": language.seg,
        "hidden_act": "silu",
        "hidden_size": text.hidden_size,
        "intermediate_size": text.intermediate_size,
        "max_position_embeddings": text.maximum_positions,
        "num_attention_heads": text.heads,
        "num_hidden_layers": text.layers,
        "num_key_value_heads": text.key_value_heads,
        "rms_norm_eps": 1e-6,
        "rope_theta": text.rope_theta,
        "rope_scaling": {"type": "mrope", "mrope_section": list(text.mrope_section)},
        "use_sliding_window": False,
        "tie_word_embeddings": text.tie_word_embeddings,
        "torch_dtype": config.dtype,
        "vocab_size": config.vocabulary_size,
        "vision_config": {
            "depth": vision.layers,
            "hidden_act": "silu",
            "hidden_size": vision.hidden_size,
            "intermediate_size": vision.intermediate_size,
            "num_heads": vision.heads,
            "in_chans": 3,
            "out_hidden_size": text.hidden_size,
            "patch_size": PATCH,
            "spatial_merge_size": MERGE,
            "window_size": WINDOW,
            "fullatt_block_indexes": list(vision.full_attention_layers),
            "temporal_patch_size": 2,
            "tokens_per_second": 2,
        },
        "grounding_encoder_config": {"apply_postprocessing": False, "cfg_path": "sam2_hiera_l.yaml", "torch_dtype": config.dtype},
        "use_res_seg_projector": False,
        "sightline": config.model_dump(mode="json"),
    }


def model_config(published: dict[str, Any]) -> ModelConfig:
    """Return the sizes that a published ``config.json`` states.

    Raises:
        EngineError: something is missing, or is not a size that can be built.
    """
    try:
        if "sightline" in published:
            return ModelConfig.model_validate(published["sightline"])
        sam2 = PurePosixPath(published["grounding_encoder_config"]["cfg_path"]).stem
        if sam2 != "sam2_hiera_l":
            raise EngineError(f"config.json names the SAM 2 configuration {sam2}; only sam2_hiera_l, which Citrus-V-8B has, is known.")
        text = TextConfig(
            hidden_size=published["hidden_size"],
            layers=published["num_hidden_layers"],
            heads=published["num_attention_heads"],
            key_value_heads=published["num_key_value_heads"],
            intermediate_size=published["intermediate_size"],
            mrope_section=published["rope_scaling"]["mrope_section"],
            rope_theta=published["rope_theta"],
            maximum_positions=published["max_position_embeddings"],
            tie_word_embeddings=published["tie_word_embeddings"],
        )
        tower = published["vision_config"]
        vision = VisionConfig(
            hidden_size=tower["hidden_size"],
            layers=tower["depth"],
            heads=tower["num_heads"],
            intermediate_size=tower["intermediate_size"],
            full_attention_layers=tower["fullatt_block_indexes"],
        )
        sizes = {"text": text, "vision": vision, "vocabulary_size": published["vocab_size"]}
        name = EIGHT_B.name if text == EIGHT_B.text else "citrus-v"
        return ModelConfig.model_validate(EIGHT_B.model_dump() | {"name": name} | sizes)
    except (KeyError, TypeError, ValueError) as error:
        raise EngineError(f"config.json of the published weights is not valid: {error!r}") from error


def check_published(published: dict[str, Any], config: ModelConfig, language: Language) -> None:
    """Refuse a published ``config.json`` that states another computation, or other token ids, than the model built from it has.

    Raises:
        EngineError: it names each value that differs.
    """
    ours, theirs = dict(_flat(published_config(config, language))), dict(_flat(published))
    differing = sorted(key for key in ours.keys() & theirs.keys() if ours[key] != theirs[key] and key not in _FREE)
    if differing:
        words = "; ".join(f"{key} {theirs[key]}, where this model has {ours[key]}" for key in differing)
        raise EngineError(f"config.json of the published weights states {words}.")


_FREE = {
    "architectures",
    "attention_dropout",
    "grounding_encoder_config.cfg_path",
    "grounding_encoder_config.torch_dtype",
    "rope_scaling.type",
    "torch_dtype",
    "vision_config.tokens_per_second",
}
"""Keys that do not decide how one image is read: training's and videos', a path on the authors' disk, and what a loader may choose."""


def _flat(values: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield path + key, value
