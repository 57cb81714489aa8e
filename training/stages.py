"""Stages: which parts learn, how fast, from which losses (Citrus-V 4.2, table 4), read from a checked YAML file.

The paper's stages 1 to 4 start from pre-trained weights. From scratch a warm-up comes first (stage 0: language, vision and the
auxiliary coverage loss); its learning rates are higher than the paper's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

import torch
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import nn

from ai_engine.model.prompt import Task
from radiology.errors import SightlineError
from training.losses import scale_gradient

Part = Literal["language", "vision", "aligner", "projector", "segmenter"]
HookPoint = Literal["seg_state", "projector_out", "segmentation_parameters"]
Rate = Annotated[float, Field(gt=0)]

PREFIXES: dict[Part, tuple[str, ...]] = {
    "aligner": ("mllm.model.visual.merger.",),
    "vision": ("mllm.model.visual.",),
    "language": ("mllm.",),
    "projector": ("seg_projector.",),
    "segmenter": ("grounding_encoder.",),
}
"""Parameter names of each part; the first match counts."""


class ConfigError(SightlineError):
    """A file is not a training configuration."""


class Checked(BaseModel):
    """A frozen settings block that refuses unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Weights(Checked):
    """Weights of the losses; (1, 2, 1) for token, Dice and cross-entropy is equation 4. A loss of weight 0 is not computed.

    ``as_released`` swaps the weights of Dice and cross-entropy, as the authors' released code does.
    """

    as_released: bool = False
    token: float = Field(1.0, ge=0)
    dice: float = Field(2.0, ge=0)
    mask_cross_entropy: float = Field(1.0, ge=0)
    quality: float = Field(0.0, ge=0)
    prompt: float = Field(0.0, ge=0)
    coverage: float = Field(0.0, ge=0)

    def of(self, name: str) -> float:
        """The weight of one loss."""
        swapped = {"dice": "mask_cross_entropy", "mask_cross_entropy": "dice"}
        return float(getattr(self, swapped.get(name, name) if self.as_released else name))

    @property
    def masks(self) -> bool:
        """Whether masks are learned."""
        return self.dice > 0 or self.mask_cross_entropy > 0 or self.prompt > 0


class Stage(Checked):
    """One stage.

    Attributes:
        name: what it is called in the log.
        steps: optimizer steps.
        epochs: passes over the cases.
        minutes: wall-clock time; whichever of the three comes first ends the stage. All survive a resume, but minutes are not exact.
        images: 0, or the pictures of one step of a stage without any text: the vision tower learns from the coverage loss, and the
            segmenter from prompts that are learned for each label and thrown away afterwards.
        tasks: how often each task is asked for, in any unit; the words of ``ai_engine.model.prompt.Task``.
        balanced: whether cases with a finding and cases without are learned from as often as each other, whatever there is more of.
        learning_rates: peak rate of every part that learns; a part that is not named is frozen.
        weights: of the losses.
        warmup_steps: steps of linear warm-up; after them the rate follows a cosine down to ``final_rate`` of the peak.
        mask_gradient_scale: factor on the gradient of the mask losses at ``mask_gradient_at``.
        mask_gradient_at: ``seg_state`` (before the projector: protects the language model), ``projector_out`` (the authors' code) or
            ``segmentation_parameters`` (the letter of the paper).
        cached_rows: 0, or the number of packed rows whose ``[SEG]`` states are computed once and reused (needs a frozen language model).
    """

    name: str
    steps: int | None = Field(None, gt=0)
    epochs: float | None = Field(None, gt=0)
    minutes: float | None = Field(None, gt=0)
    images: int = Field(0, ge=0)
    tasks: dict[Task, Annotated[float, Field(gt=0)]] = Field({"report": 1.0}, min_length=1)
    balanced: bool = False
    learning_rates: dict[Part, Rate]
    weights: Weights = Weights()
    warmup_steps: int = Field(0, ge=0)
    final_rate: float = Field(0.05, ge=0, le=1)
    mask_gradient_scale: float = Field(1.0, ge=0, le=1)
    mask_gradient_at: HookPoint = "seg_state"
    cached_rows: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        masked = {"projector", "segmenter"} & set(self.learning_rates)
        spoken = {"language", "vision", "aligner"} & set(self.learning_rates)
        if not self.learning_rates:
            raise ValueError(f"Stage {self.name!r} trains nothing: name at least one part in learning_rates.")
        if masked and not self.weights.masks:
            raise ValueError(
                f"Stage {self.name!r} trains {sorted(masked)} without a mask loss: "
                "set weights.dice, weights.mask_cross_entropy or weights.prompt."
            )
        if self.steps is None and self.epochs is None and self.minutes is None:
            raise ValueError(f"Stage {self.name!r} has no end: set steps, epochs or minutes.")
        if self.images and (
            self.weights.token or self.weights.prompt or self.cached_rows or {"language", "projector"} & set(self.learning_rates)
        ):
            raise ValueError(
                f"Stage {self.name!r} has pictures without text: "
                "set weights.token, weights.prompt and cached_rows to 0, freeze language and projector."
            )
        if self.images and not self.weights.masks and not self.weights.coverage:
            raise ValueError(f"Stage {self.name!r} has pictures without text and no loss for them: set weights.coverage or weights.dice.")
        if self.cached_rows and spoken:
            raise ValueError(f"Stage {self.name!r} caches [SEG] states while {sorted(spoken)} change: freeze them or set cached_rows to 0.")
        return self

    @property
    def prompts_labels(self) -> bool:
        """Whether the segmenter is prompted with what it learns for each label, instead of ``[SEG]`` states."""
        return self.images > 0 and self.weights.masks

    def share(self, step: int, passes: float, seconds: float) -> float:
        """How much of the stage is done after ``step`` steps, ``passes`` over the cases and ``seconds``; 1 or more ends it."""
        wanted = (self.steps, self.epochs, self.minutes and 60 * self.minutes)
        return max(done / whole for done, whole in zip((step, passes, seconds), wanted, strict=True) if whole)

    def rate(self, step: int, share: float) -> float:
        """Share of the peak learning rate at ``step`` (counted from 0), when ``share`` of the stage is done."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        return self.final_rate + (1 - self.final_rate) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))

    def scaled(self, tensor: torch.Tensor, point: HookPoint) -> torch.Tensor:
        """``tensor``, its gradient scaled where this stage scales at ``point``."""
        return scale_gradient(tensor, self.mask_gradient_scale) if point == self.mask_gradient_at else tensor


class Augmentation(Checked):
    """How much an image varies each time it is seen. Never mirrored: the patient's right must stay right.

    Attributes:
        zoom: the visible field is scaled by up to this share, either way.
        stretch: its height against its width changes by up to this share.
        bend: standard deviation of the displacement of single points, as a share of its side: other bodies from few patients.
        shift: and moved by up to this share of its side.
        turn_degrees: and turned by up to this angle.
        contrast: gamma and contrast vary by up to this share, brightness by half of it.
        noise: standard deviation of added noise, as a share of the grey range.
    """

    zoom: float = Field(0.15, ge=0, lt=0.5)
    stretch: float = Field(0.15, ge=0, lt=0.5)
    bend: float = Field(0.012, ge=0, lt=0.1)
    shift: float = Field(0.07, ge=0, lt=0.5)
    turn_degrees: float = Field(5.0, ge=0, lt=45)
    contrast: float = Field(0.35, ge=0, lt=1)
    noise: float = Field(0.02, ge=0, lt=1)


class Config(Checked):
    """A whole training run.

    Attributes:
        model: a size of ``ai_engine.model.config``, with random weights.
        start: instead, or for a part of it, finished runs (or folders of weights) to start from: ``mllm`` also gives projector, tokenizer
            and size, ``segmenter`` may come from another run of the same size.
        seed: of everything drawn at random.
        threads: CPU threads.
        precision: ``bfloat16`` computes in it and keeps the weights in float32; ``float32`` does all in that; ``auto`` is the first where
            the machine multiplies in it, else the second.
        gradient_checkpointing: compute the language model's layers again in the backward pass instead of keeping what they computed.
        rows: packed rows (or batches of pictures) of one optimizer step, all processes together.
        row_tokens: tokens of a packed row.
        window: samples that are packed together.
        weight_decay, clip_norm, betas: of AdamW; the gradient norm is clipped for each part by itself.
        checkpoint_steps, picture_steps: a checkpoint, and pictures of a few readings, after so many steps.
        augmentation: of the training images.
        stages: in order.
    """

    model: str | None = None
    start: dict[Literal["mllm", "segmenter"], Path] = {}
    seed: int = 0
    threads: int = Field(2, gt=0)
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    gradient_checkpointing: bool = False
    rows: int = Field(1, gt=0)
    row_tokens: int = Field(2560, gt=0)
    window: int = Field(64, gt=0)
    weight_decay: float = Field(0.05, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    betas: tuple[float, float] = (0.9, 0.95)
    checkpoint_steps: int = Field(200, gt=0)
    picture_steps: int = Field(400, gt=0)
    augmentation: Augmentation = Augmentation()
    stages: tuple[Stage, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _begins(self) -> Self:
        if (self.model is None) == ("mllm" not in self.start):
            raise ValueError("Name either a model (a size, from nothing) or start.mllm (a folder to start from).")
        return self

    @classmethod
    def read(cls, path: Path, start: Path | None = None) -> Self:
        """Parse a YAML file; :class:`ConfigError` names every field that is wrong. ``start`` replaces what it says of where to begin."""
        try:
            settings = yaml.safe_load(path.read_text())
            if start and isinstance(settings, dict):
                settings |= {"model": None, "start": {"mllm": start}}
            return cls.model_validate(settings)
        except (ValidationError, yaml.YAMLError) as error:
            raise ConfigError(f"{path} is not a training configuration: {error}") from error


def part_of(name: str) -> Part:
    """The part that a parameter of the unified model belongs to."""
    return next(part for part, prefixes in PREFIXES.items() if name.startswith(prefixes))


def multiplies_bfloat16(cpu: bool = True) -> bool:
    """Whether this machine's CPU, or else its GPU, multiplies in bfloat16. One that imitates it is several times slower than in float32."""
    if not cpu:
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities()
    return any(able.get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16"))


def freeze(model: nn.Module, stage: Stage) -> dict[Part, list[nn.Parameter]]:
    """Let only the stage's parts learn; return the parameters of each."""
    groups: dict[Part, list[nn.Parameter]] = {part: [] for part in stage.learning_rates}
    for name, parameter in model.named_parameters():
        part = part_of(name)
        parameter.requires_grad_(part in groups)
        parameter.grad = None
        if part in groups:
            groups[part].append(parameter)
    return groups


def optimizer(groups: dict[Part, list[nn.Parameter]], extra: Iterable[nn.Parameter], stage: Stage, config: Config) -> torch.optim.AdamW:
    """AdamW with one group a part, and one for ``extra`` (the coverage head, at the highest rate); biases and norms do not decay."""
    blocks = []
    top = max(stage.learning_rates.values())
    for parameters, peak in [*((groups[part], stage.learning_rates[part]) for part in groups), (list(extra), top)]:
        for decays in (True, False):
            chosen = [parameter for parameter in parameters if (parameter.ndim > 1) == decays]
            if chosen:
                blocks.append({"params": chosen, "peak": peak, "lr": 0.0, "weight_decay": config.weight_decay if decays else 0.0})
    return torch.optim.AdamW(blocks, betas=config.betas, fused=True)
