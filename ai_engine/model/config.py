"""The sizes of one model: ``config.json`` in its weights folder. Nothing else in the room knows a size."""

from __future__ import annotations

from math import exp
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from radiology.terms import TERMS

PATCH = 14
"""Side of a patch of the language model's vision tower, in pixels of its picture (Qwen2.5-VL)."""
MERGE = 2
"""Patches along a side that become one visual token."""
WINDOW = 112
"""Side of an attention window of the vision tower, in pixels."""
MASK_STRIDE = 4
"""Pixels of the segmenter's picture along a side of one cell of its mask (SAM 2)."""
MEMORY_CHANNELS = 64
"""Channels of a cell of SAM 2's memory."""

Size = Annotated[int, Field(gt=0)]


class _Sizes(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TextConfig(_Sizes):
    """The text tower.

    ``mrope_section`` says how many rotary frequencies go to time, row and column, in turn. Ones interleave the three, which
    a small model needs to learn places; published Qwen2.5-VL weights have three blocks, such as ``(16, 24, 24)``.
    ``tie_word_embeddings``: the same matrix reads tokens and scores them.
    """

    hidden_size: Size
    layers: Size
    heads: Size
    key_value_heads: Size
    intermediate_size: Size
    mrope_section: tuple[Size, ...]
    rope_theta: float = 10000.0
    maximum_positions: Size = 4096
    tie_word_embeddings: bool = True

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.hidden_size % self.heads or self.heads % self.key_value_heads:
            raise ValueError("hidden_size must be a multiple of heads, and heads of key_value_heads.")
        if 2 * sum(self.mrope_section) != self.hidden_size // self.heads:
            raise ValueError(f"mrope_section must sum to half the head size, {self.hidden_size // self.heads // 2}.")
        return self


class VisionConfig(_Sizes):
    """The vision tower of the language model."""

    hidden_size: Size
    layers: Size
    heads: Size
    intermediate_size: Size
    full_attention_layers: tuple[int, ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.hidden_size % (4 * self.heads):
            raise ValueError("hidden_size of the vision tower must be a multiple of four times its heads.")
        if any(not 0 <= layer < self.layers for layer in self.full_attention_layers):
            raise ValueError("full_attention_layers names a layer that the vision tower does not have.")
        return self


class MemoryConfig(_Sizes):
    """SAM 2's memory, which carries masks from slice to slice.

    Attributes:
        layers, intermediate_size: of the memory attention and of its feed-forward blocks.
        masks: slices whose masks are remembered: the key slice and the ones before this one.
        pointers: slices whose object pointers are remembered.
        sam2_1: whether pointers know how far away they are, and absence has an embedding of its own, as since SAM 2.1.
    """

    layers: Size
    intermediate_size: Size
    masks: Annotated[int, Field(ge=2)]
    pointers: Annotated[int, Field(ge=2)]
    sam2_1: bool = True


class SegmenterConfig(_Sizes):
    """SAM 2: four stages of its Hiera encoder, the decoder, and the memory where it has learned one.

    ``multimask``: the decoder draws three masks and the one with the best expected IoU is taken, as Citrus-V's code does.
    ``padding_points``: "not a point" embeddings before the [SEG] embedding. Citrus-V's code gives SAM 2 an empty point, and
    SAM 2 pads points with another one.
    ``pointable``: it has learned points, boxes and masks to correct too, as SAM 2 has before Citrus-V prompts it with [SEG] states.
    """

    embedding_size: Size
    layers: tuple[Size, Size, Size, Size]
    heads: tuple[Size, Size, Size, Size]
    windows: tuple[Size, Size, Size, Size]
    global_attention_layers: tuple[int, ...]
    feature_size: Size
    decoder_heads: Size
    decoder_intermediate_size: Size
    multimask: bool = False
    padding_points: Size = 1
    pointable: bool = False
    memory: MemoryConfig | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.memory and self.feature_size % MEMORY_CHANNELS:
            raise ValueError(f"A segmenter with memory needs a feature_size that is a multiple of {MEMORY_CHANNELS}.")
        return self


class PresenceConfig(_Sizes):
    """How what the model answers when it is asked about a finding becomes the confidence in what the report says of it.

    Attributes:
        slope: of the log odds of yes against no to whether the finding is there.
        mask_slope: of the log odds of the IoU that the segmenter expects of its mask, when the model is made to draw it anyway.
        shift: added to both; all three are fitted on images that the model was not trained on (Platt's scaling, of two scores).
        doubt_below: a finding that is less probable than this is not stated, and one that is not is not denied; 0 doubts nothing.
    """

    slope: Annotated[float, Field(ge=0)] = 1.0
    mask_slope: Annotated[float, Field(ge=0)] = 0.0
    shift: float = 0.0
    doubt_below: Annotated[float, Field(ge=0, le=1)] = 0.0

    def probability(self, said: float, drawn: float = 0.0) -> float:
        """Return the probability, 0 to 1, that a finding is there, from the log odds of the words and of the mask."""
        return 1 / (1 + exp(-max(-50.0, self.slope * said + self.mask_slope * drawn + self.shift)))


class ModelConfig(_Sizes):
    """One unified model.

    Attributes:
        name: what reports call it.
        image_size: side of the language model's picture, in pixels; boxes in its answers count in these.
        segmenter_size: side of the segmenter's picture, in pixels.
        vocabulary_size: rows of the token embedding; the tokenizer may have fewer tokens.
        dtype: of the parameters, once loaded.
        reads_indication: whether it was trained with the request's indication in the prompt; if not, it is not shown any.
        presence: how it is asked whether a finding is there; None for weights that were not trained with such questions.
        unreliable: names of findings that these weights were measured not to find; nothing that they say of them is passed on.
    """

    name: str
    image_size: Size
    segmenter_size: Size
    vocabulary_size: Size
    dtype: Literal["float32", "bfloat16"] = "float32"
    reads_indication: bool = False
    presence: PresenceConfig | None = None
    unreliable: tuple[str, ...] = ()
    text: TextConfig
    vision: VisionConfig
    segmenter: SegmenterConfig

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not TERMS.keys() >= set(self.unreliable):
            raise ValueError(f"unreliable names something that is no term: {', '.join(set(self.unreliable) - TERMS.keys())}.")
        if self.image_size % (PATCH * MERGE):
            raise ValueError(f"image_size must be a multiple of {PATCH * MERGE}.")
        if self.segmenter_size % 32:
            raise ValueError("segmenter_size must be a multiple of 32.")
        return self

    @property
    def visual_tokens(self) -> int:
        """Visual tokens of one picture, a square grid in row-major order."""
        return (self.image_size // (PATCH * MERGE)) ** 2

    @property
    def mask_size(self) -> int:
        """Side of the mask that the segmenter decodes, in cells; it covers the whole picture."""
        return self.segmenter_size // MASK_STRIDE


TINY = ModelConfig(
    name="sightline-tiny",
    image_size=112,
    segmenter_size=64,
    vocabulary_size=1024,
    text=TextConfig(hidden_size=64, layers=2, heads=2, key_value_heads=1, intermediate_size=128, mrope_section=(1,) * 16),
    vision=VisionConfig(hidden_size=32, layers=2, heads=2, intermediate_size=64, full_attention_layers=(1,)),
    segmenter=SegmenterConfig(
        embedding_size=8,
        layers=(1, 1, 2, 1),
        heads=(1, 1, 2, 2),
        windows=(4, 2, 2, 2),
        global_attention_layers=(3,),
        feature_size=32,
        decoder_heads=2,
        decoder_intermediate_size=64,
    ),
)
"""For tests: under a million parameters."""

SMALL = ModelConfig(
    name="sightline-small",
    image_size=224,
    segmenter_size=256,
    vocabulary_size=2048,
    text=TextConfig(hidden_size=224, layers=4, heads=4, key_value_heads=2, intermediate_size=608, mrope_section=(1,) * 28),
    vision=VisionConfig(hidden_size=160, layers=4, heads=4, intermediate_size=448, full_attention_layers=(2, 3)),
    segmenter=SegmenterConfig(
        embedding_size=32,
        layers=(1, 1, 3, 1),
        heads=(1, 2, 4, 8),
        windows=(8, 4, 8, 4),
        global_attention_layers=(4,),
        feature_size=128,
        decoder_heads=4,
        decoder_intermediate_size=512,
    ),
)
"""For two CPU cores, trained from nothing: the weights that come with Sightline."""

EIGHT_B = ModelConfig(
    name="citrus-v-8b",
    image_size=896,  # within the 200,704 to 1,003,520 pixels of Citrus-V's training, and whole windows
    segmenter_size=1024,
    vocabulary_size=152064,
    dtype="bfloat16",
    text=TextConfig(
        hidden_size=3584,
        layers=28,
        heads=28,
        key_value_heads=4,
        intermediate_size=18944,
        mrope_section=(16, 24, 24),
        rope_theta=1e6,
        maximum_positions=128000,
        tie_word_embeddings=False,
    ),
    vision=VisionConfig(hidden_size=1280, layers=32, heads=16, intermediate_size=3420, full_attention_layers=(7, 15, 23, 31)),
    segmenter=SegmenterConfig(
        embedding_size=144,
        layers=(2, 6, 36, 4),
        heads=(2, 4, 8, 16),
        windows=(8, 4, 16, 8),
        global_attention_layers=(23, 33, 43),
        feature_size=256,
        decoder_heads=8,
        decoder_intermediate_size=2048,
        multimask=True,
        padding_points=2,
        pointable=True,
        memory=MemoryConfig(layers=4, intermediate_size=2048, masks=7, pointers=16, sam2_1=False),
    ),
)
"""Citrus-V-8B: Qwen2.5-VL-7B and SAM 2 Hiera-L (Citrus-V 5.2 and its published configuration)."""

PRESETS: dict[str, ModelConfig] = {"tiny": TINY, "small": SMALL, "8b": EIGHT_B}
