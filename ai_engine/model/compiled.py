"""The two picture encoders compiled by OpenVINO, for CPUs: the optional extra ``openvino``.

They are traced for one picture of the model's sizes when the model is loaded, and run in bfloat16 where the CPU has it. Everything
else stays in torch: token by token, OpenVINO gains nothing.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.sam2.modeling_sam2 import Sam2VisionEncoderOutput
from transformers.vision_utils import get_vision_cu_seqlens, get_vision_position_ids, get_vision_window_index

from ai_engine.model.config import MERGE, PATCH, WINDOW
from ai_engine.model.unified import UnifiedModel
from radiology.errors import EngineError


def compile_encoders(model: UnifiedModel, threads: int) -> None:
    """Put compiled encoders in the place of the model's own; it can no longer be trained or saved.

    Raises:
        EngineError: OpenVINO is not installed, or the model is not on the CPU.
    """
    if model.seg_projector[0].weight.device.type != "cpu":
        raise EngineError("OpenVINO compiles for CPUs; set engine.encoders to torch, or engine.device to cpu.")
    visual, segmenter = model.mllm.model.visual, model.grounding_encoder.sam2_model
    side, size = model.config.image_size // PATCH, model.config.segmenter_size
    patches = torch.zeros(side * side, visual.patch_embed.proj.weight[0].numel())
    pixels = torch.zeros(1, 3, size, size)
    with torch.no_grad():
        positions = segmenter.vision_encoder(pixels).fpn_position_encoding
        model.mllm.model.visual = _VisionTower(_compile(_PlainTower(visual, side), patches, threads))
        segmenter.vision_encoder = _VisionEncoder(_compile(_PlainEncoder(segmenter.vision_encoder), pixels, threads), positions)


def _compile(module: nn.Module, example: torch.Tensor, threads: int) -> Any:
    openvino = _openvino()
    settings = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing: that it is old, and that what depends on the picture's size becomes fixed
        converted = openvino.convert_model(module.eval(), example_input=(example,))
    return openvino.compile_model(converted, "CPU", settings)


def _openvino() -> Any:
    # Its converter reports every use to its maker, unless this package is missing: then it has a stub for it.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise EngineError('OpenVINO is not installed; install "sightline[openvino]" or set engine.encoders to torch.') from error
    return openvino


class _PlainTower(nn.Module):
    """The vision tower as a function of one picture's patches alone."""

    def __init__(self, tower: nn.Module, side: int) -> None:
        super().__init__()
        self.tower = tower
        grid = torch.tensor([[1, side, side]])
        windows, window_starts = get_vision_window_index(grid, MERGE, WINDOW, PATCH)
        self.places = {
            "grid_thw": grid,
            "position_ids": get_vision_position_ids(grid, MERGE),
            "cu_seqlens": get_vision_cu_seqlens(grid),
            "window_index": windows,
            "cu_window_seqlens": window_starts,
        }

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        tokens: torch.Tensor = self.tower(patches, **self.places).pooler_output
        return tokens


class _PlainEncoder(nn.Module):
    """SAM 2's encoder as a function from pixels to its feature maps alone."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.encoder(pixels).fpn_hidden_states)


class _VisionTower(nn.Module):
    """Stands where Qwen2.5-VL's vision tower stood."""

    dtype = torch.float32
    spatial_merge_size = MERGE

    def __init__(self, compiled: Any) -> None:
        super().__init__()
        self._compiled = compiled

    def forward(self, patches: torch.Tensor, grid_thw: torch.Tensor, **_: Any) -> BaseModelOutputWithPooling:
        tokens = [_run(self._compiled, picture)[0] for picture in patches.chunk(len(grid_thw))]
        return BaseModelOutputWithPooling(pooler_output=torch.cat(tokens))


class _VisionEncoder(nn.Module):
    """Stands where SAM 2's image encoder stood."""

    def __init__(self, compiled: Any, positions: list[torch.Tensor]) -> None:
        super().__init__()
        self._compiled = compiled
        self._positions = positions

    def forward(self, pixel_values: torch.Tensor, **_: Any) -> Sam2VisionEncoderOutput:
        maps = zip(*(_run(self._compiled, picture[None]) for picture in pixel_values), strict=True)
        positions = [each.expand(len(pixel_values), -1, -1, -1) for each in self._positions]
        return Sam2VisionEncoderOutput(fpn_hidden_states=[torch.cat(level) for level in maps], fpn_position_encoding=positions)


def _run(compiled: Any, picture: torch.Tensor) -> list[torch.Tensor]:
    # A request of its own for each call, since calls may run at the same time.
    results = compiled.create_infer_request().infer([picture.numpy()], share_inputs=True)
    return [torch.from_numpy(results[output].copy()) for output in compiled.outputs]
