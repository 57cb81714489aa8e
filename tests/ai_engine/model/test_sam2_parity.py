"""The segmenter against Meta's ``sam2`` package: same weights, same images, same prompts, in an environment of the package's own."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ai_engine.model.config import TINY, MemoryConfig, ModelConfig, SegmenterConfig
from ai_engine.model.language import Language
from ai_engine.model.memory import Track
from ai_engine.model.segmenter import Prompts, Segmenter
from ai_engine.model.unified import UnifiedModel
from ai_engine.model.weights import export_published, load_sam2

pytestmark = pytest.mark.slow

PACKAGES = ("sam2==1.1.0", "hydra-core==1.3.2", "omegaconf", "antlr4-python3-runtime==4.9.3", "iopath==0.1.10", "portalocker")
SCRIPT = Path(__file__).with_name("sam2_package.py")

SIZES = {
    "small, SAM 2.0": (
        256,
        "sam2/sam2_hiera_l.yaml",
        {"embedding_size": 16, "layers": (1, 2, 3, 1), "global_attention_layers": (4,)},
        False,
    ),
    "Hiera-T, SAM 2.1": (
        256,
        "sam2.1/sam2.1_hiera_t.yaml",
        {"embedding_size": 96, "layers": (1, 2, 7, 2), "global_attention_layers": (5, 7, 9)},
        True,
    ),
}


def segmenter_config(sizes: dict[str, Any], sam2_1: bool, multimask: bool = True) -> SegmenterConfig:
    return SegmenterConfig(
        **sizes,
        heads=(1, 2, 4, 8),
        windows=(8, 4, 14, 7),
        feature_size=256,
        decoder_heads=8,
        decoder_intermediate_size=2048,
        multimask=multimask,
        padding_points=2,
        memory=MemoryConfig(layers=4, intermediate_size=2048, masks=7, pointers=16, sam2_1=sam2_1),
    )


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has the package and, from ours, torch: the package's own requirements would bring another torch."""
    folder = tmp_path_factory.mktemp("sam2")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    ours = sysconfig.get_path("purelib")
    (folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages" / "ours.pth").write_text(ours + "\n")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "wheel"], check=True)
    subprocess.run([*pip, "--no-build-isolation", *PACKAGES], check=True, env=os.environ | {"SAM2_BUILD_CUDA": "0"})
    return python


@pytest.mark.parametrize("direction", ["their checkpoint, loaded here", "our export, loaded there"])
@pytest.mark.parametrize("name", SIZES)
def test_features_masks_and_tracks_are_equal(package: Path, tmp_path: Path, tiny_language: Language, name: str, direction: str) -> None:
    size, configuration, sizes, sam2_1 = SIZES[name]
    config = segmenter_config(sizes, sam2_1)
    torch.manual_seed(0)
    inputs = {"images": torch.randn(3, 3, size, size), "prompts": torch.randn(2, 256)}
    save_file(inputs, tmp_path / "inputs.safetensors")
    trunk = {
        "embed_dim": config.embedding_size,
        "num_heads": config.heads[0],
        "stages": config.layers,
        "global_att_blocks": config.global_attention_layers,
        "window_spec": config.windows,
    }
    job: dict[str, Any] = {"configuration": configuration, "image_size": size, "trunk": trunk}
    job |= {"inputs": str(tmp_path / "inputs.safetensors"), "result": str(tmp_path / "result.safetensors")}
    segmenter = Segmenter(config, size)
    if direction.startswith("our"):
        unified = UnifiedModel(ModelConfig.model_validate(TINY.model_dump() | {"segmenter_size": size, "segmenter": config}), tiny_language)
        segmenter = unified.grounding_encoder
        for tensor in segmenter.parameters():
            tensor.data += 0.03 * torch.randn_like(tensor)
        export_published(tmp_path / "export", unified, tiny_language, shard_bytes=20_000_000)
        job["export"] = str(tmp_path / "export")
    else:
        job["checkpoint"] = str(tmp_path / "sam2.pt")
    (tmp_path / "job.json").write_text(json.dumps(job))
    subprocess.run([package, "-I", "-W", "ignore", SCRIPT, tmp_path / "job.json"], check=True, cwd=tmp_path)
    if "checkpoint" in job:
        load_sam2(segmenter, tmp_path / "sam2.pt")
    theirs = load_file(tmp_path / "result.safetensors")
    ours = run(segmenter.eval(), Segmenter(segmenter_config(sizes, sam2_1, multimask=False), size), inputs["images"], inputs["prompts"])
    assert ours.keys() == theirs.keys()
    differences = {key: float((ours[key] - theirs[key]).abs().max()) for key in theirs}
    print(name, direction, {key: f"{value:.1e} of {theirs[key].abs().max():.1f}" for key, value in differences.items()})
    assert max(differences.values()) < 1e-4, differences


@torch.no_grad()
def run(segmenter: Segmenter, single: Segmenter, images: torch.Tensor, prompts: torch.Tensor) -> dict[str, torch.Tensor]:
    single.load_state_dict(segmenter.state_dict())
    features = [segmenter.encode_image(image[None]) for image in images]
    result = {f"features.{level}": value for level, value in enumerate(features[0])}
    only = single.eval().decode(features[0], Prompts(prompts))
    result |= {"single": only.logits[:, None], "single_iou": only.expected_iou[:, None]}
    key = segmenter.decode(features[0], Prompts(prompts))
    track = Track(segmenter, features[0], Prompts(prompts))
    for index, drawn in enumerate([key, *(track.step(beside) for beside in features[1:])]):
        result |= {f"masks.{index}": drawn.logits, f"iou.{index}": drawn.expected_iou, f"presence.{index}": drawn.presence}
    return result
