"""What one pass saves: Sightline's pass against the reference procedure of Citrus-V's published code, with the same weights.

``python -m benchmarks.unified_pass [--weights DIR | --preset NAME] [--rounds N] [--threads N] [--device NAME] [--json FILE]``

The reference generates twice with transformers (once for the text; again, keeping all hidden states, if the text has a ``[SEG]``),
and then embeds the picture with SAM 2 and decodes one mask for every ``[SEG]``. Sightline generates once and embeds once. Both write
the same answer, with 1 and with 8 ``[SEG]``: the output layer is made to favour it token by token, after doing its work. The aims:
``speedup_1`` at least 2, ``speedup_8`` at least 4, and ``masks_equal``. ``--preset 8b --device cuda`` takes random weights of
Citrus-V-8B's shape, and says how much of the GPU's memory each procedure took.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from ai_engine.engine import WEIGHTS
from ai_engine.model.answer import Part, Step, compose
from ai_engine.model.config import PRESETS
from ai_engine.model.images import Letterbox, mllm_input, segmenter_input, windowed
from ai_engine.model.language import Language
from ai_engine.model.prompt import QUERIES, answer_ids, prompt_ids
from ai_engine.model.unified import UnifiedModel
from ai_engine.model.weights import TOKENIZER, load_weights

AIMS = {1: 2.0, 8: 4.0}
MARKS = {
    1: ["The right lung [SEG] is clear.", "The left lung is clear."],
    8: [
        "The right lung [SEG] is abnormal.",
        "There is consolidation [SEG] in the right lower zone.",
        "Pleural effusion [SEG] on the right.",
        "The left lung [SEG] is abnormal.",
        "There is a nodule [SEG] in the left upper zone.",
        "There is consolidation [SEG] in the left lower zone.",
        "The mediastinum [SEG] has a normal outline.",
        "Pleural effusion [SEG] on the left.",
    ],
}
"""What the answers say, by their number of marks."""
EQUAL = {torch.float32: 1e-3, torch.bfloat16: 0.5}
"""Logits of the two procedures that differ by less are the same mask; the order of additions differs."""

Result = tuple[list[int], torch.Tensor]
"""Tokens of an answer, and mask logits [mask, row, column]."""


def report(marks: int) -> str:
    """A report with so many ``[SEG]``, and the reasoning that goes with it."""
    lungs = (Part("right lung", (30, 12, 190, 101)), Part("left lung", (32, 118, 188, 205)))
    findings = (
        Part("right consolidation", (120, 20, 180, 90)),
        Part("left nodule", (60, 130, 80, 150)),
        Part("left consolidation", (90, 130, 160, 200)),
    )
    effusions = (Part("right pleural effusion", (160, 12, 190, 60)), Part("left pleural effusion", (160, 160, 190, 205)))
    abnormal = marks > 1
    steps = [
        Step("lungs", lungs + findings * abnormal, "abnormal." if abnormal else "normal."),
        Step("pleura", effusions * abnormal, "abnormal." if abnormal else "normal."),
        Step("mediastinum", (Part("mediastinum", (40, 80, 190, 150)),), "normal."),
    ]
    rest = ["No pneumothorax."] if abnormal else ["No nodule.", "No consolidation.", "No pneumothorax.", "No pleural effusion."]
    return compose(steps, [*MARKS[marks], *rest], "See above." if abnormal else "No acute finding.")


@contextmanager
def favouring(model: UnifiedModel, answer: Sequence[int]) -> Iterator[None]:
    """Let whatever generates write ``answer``; the output layer is computed as always, then its scores are raised for the next token."""
    written = 0

    def raise_next(_: torch.nn.Module, __: Any, scores: torch.Tensor) -> torch.Tensor:
        nonlocal written
        raised = scores.clone()
        raised[..., -1, answer[written % len(answer)]] += 1e4
        written += 1
        return raised

    hook = model.mllm.lm_head.register_forward_hook(raise_next)
    try:
        yield
    finally:
        hook.remove()


@torch.inference_mode()
def one_pass(model: UnifiedModel, prompt: list[int], patches: torch.Tensor, pixels: torch.Tensor, longest: int) -> Result:
    """Sightline's pass."""
    (generated,) = model.generate([prompt], model.see(patches), longest)
    logits, _ = model.decode_masks(model.encode_image(pixels), model.project(generated.seg_states))
    return list(generated.ids), logits


@torch.inference_mode()
def reference(
    model: UnifiedModel, language: Language, prompt: list[int], patches: torch.Tensor, pixels: torch.Tensor, longest: int
) -> Result:
    """The procedure of Citrus-V's published code, with transformers' own ``generate``."""
    ids = torch.tensor([prompt], device=patches.device)
    side = model.config.image_size // 14
    asked = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "mm_token_type_ids": (ids == language.image).int(),
        "pixel_values": patches,
        "image_grid_thw": torch.tensor([[1, side, side]], device=patches.device),
        "max_new_tokens": longest,
        "do_sample": False,
        "eos_token_id": language.end,
        "return_dict_in_generate": True,
    }
    sequence = model.mllm.generate(**asked).sequences[0]
    if not bool((sequence[len(prompt) : -1] == language.seg).any()):
        return sequence[len(prompt) :].tolist(), torch.zeros(0)
    again = model.mllm.generate(**asked, output_hidden_states=True)
    answer = again.sequences[0, len(prompt) :]
    # Step k + 1 got the k-th new token as its input.
    states = torch.cat([step[-1][0, -1:] for step in again.hidden_states[1:]])
    prompts = model.project(states[answer[:-1] == language.seg])
    masks = [model.decode_masks(model.encode_image(pixels), each[None])[0] for each in prompts]
    return answer.tolist(), torch.cat(masks)


def compare(model: UnifiedModel, language: Language, marks: int, rounds: int, device: str) -> dict[str, Any]:
    """Time both procedures in turn on one picture and one answer."""
    config = model.config
    channels = windowed(np.random.default_rng(0).normal(1000, 300, (512, 512)).astype(np.float32), "projection")
    patches = torch.from_numpy(mllm_input(Letterbox.fit((512, 512), config.image_size).image(channels)))
    pixels = torch.from_numpy(segmenter_input(Letterbox.fit((512, 512), config.segmenter_size).image(channels)))[None]
    dtype = model.seg_projector[0].weight.dtype
    patches, pixels = patches.to(device, dtype), pixels.to(device, dtype)
    prompt = prompt_ids(language, config.visual_tokens, QUERIES["projection"])
    answer = answer_ids(language, report(marks))
    seconds: dict[str, list[float]] = {"one pass": [], "reference": []}
    memory: dict[str, float] = {}
    equal = True
    with favouring(model, answer):
        for number in range(rounds + 1):
            mine, memory["one pass"] = _timed(seconds["one pass"], lambda: one_pass(model, prompt, patches, pixels, len(answer)), device)
            theirs, memory["reference"] = _timed(
                seconds["reference"], lambda: reference(model, language, prompt, patches, pixels, len(answer)), device
            )
            equal &= mine[0] == theirs[0] == answer and bool((mine[1] - theirs[1]).abs().max() < EQUAL[dtype])
            if number == 0:  # the first round also warms up
                for values in seconds.values():
                    values.clear()
    ratios = [theirs / mine for mine, theirs in zip(seconds["one pass"], seconds["reference"], strict=True)]
    return {
        "tokens": len(answer),
        "ratio": _spread(ratios),
        "seconds": {name: _spread(values) for name, values in seconds.items()},
        "gpu_memory_gib": memory if device.startswith("cuda") else None,
        "masks_equal": equal,
    }


def _timed(into: list[float], run: Callable[[], Result], device: str) -> tuple[Result, float]:
    """Return the result and the most GPU memory that was taken, in GiB; 0 on a CPU."""
    on_gpu = device.startswith("cuda")
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    begun = time.perf_counter()
    result = run()
    if on_gpu:
        torch.cuda.synchronize()
    into.append(time.perf_counter() - begun)
    return result, round(torch.cuda.max_memory_allocated() / 2**30, 2) if on_gpu else 0.0


def random_model(preset: str, device: str) -> tuple[UnifiedModel, Language]:
    """A model of a preset's shape and precision with random weights, made where it runs, and the tokenizer of our own weights."""
    language = Language.load(WEIGHTS / TOKENIZER)
    config = PRESETS[preset]
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, config.dtype))
    try:
        with torch.device(device):
            return UnifiedModel(config, language).eval(), language
    finally:
        torch.set_default_dtype(before)


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"min": round(min(values), 4), "median": round(statistics.median(values), 4), "max": round(max(values), 4)}


def main() -> None:
    """Command line; exits 1 where an aim is missed or the masks differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--preset", choices=[name for name in PRESETS if name != "tiny"])  # too few tokens for our tokenizer
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.preset:
        model, language = random_model(arguments.preset, arguments.device)
    else:
        model, language, _ = load_weights(arguments.weights, device=arguments.device)
    runs = {marks: compare(model, language, marks, arguments.rounds, arguments.device) for marks in MARKS}
    figures = {
        **{f"speedup_{marks}": run["ratio"]["median"] for marks, run in runs.items()},
        "masks_equal": all(run["masks_equal"] for run in runs.values()),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {arguments.threads} threads, {arguments.device}",
        "model": model.config.name,
        "runs": {str(marks): run for marks, run in runs.items()},
    }
    table = Table(
        "masks", "tokens", "ratio (min, median, max)", "one pass, s", "reference, s", title=f"{figures['model']} on {figures['machine']}"
    )
    for marks, run in runs.items():
        ratio, took = run["ratio"], run["seconds"]
        spread = ", ".join(f"{ratio[name]:.2f}" for name in ("min", "median", "max"))
        table.add_row(str(marks), str(run["tokens"]), spread, *(f"{took[name]['median']:.3f}" for name in ("one pass", "reference")))
    Console().print(table)
    print(f"masks equal: {figures['masks_equal']}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    if not figures["masks_equal"] or any(runs[marks]["ratio"]["median"] < aim for marks, aim in AIMS.items()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
