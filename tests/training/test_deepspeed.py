"""The ZeRO-2 configuration of the real size, launched as its pages say, with a tiny model and two processes on the CPU."""

import csv
import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
import yaml

from tests.training.phantom import chest, with_nodule
from training.data.cases import write_shard
from training.data.scene import Scene

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PACKAGES = ("deepspeed==0.19.8", "hjson==3.1.0", "msgpack==1.2.4", "py-cpuinfo==9.0.0", "einops==0.8.2", "ninja")
SPOKEN = {"language": 1e-3, "vision": 1e-3, "aligner": 1e-3}
MASKED = {"projector": 1e-3, "segmenter": 1e-3}
STAGES = [
    {"name": "0 pictures", "steps": 2, "images": 2, "learning_rates": {"vision": 1e-3, "segmenter": 1e-3}, "weights": {"token": 0}},
    {"name": "1 alignment", "steps": 2, "learning_rates": {"aligner": 1e-3}, "weights": {"dice": 0, "mask_cross_entropy": 0}},
    {
        "name": "3 instruction",
        "steps": 3,
        "tasks": {"report": 1, "question": 2},
        "learning_rates": SPOKEN | MASKED,
        "mask_gradient_scale": 0.001,
    },
    {"name": "4 segmentation", "steps": 3, "learning_rates": MASKED, "weights": {"token": 0}, "cached_rows": 2},
]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with DeepSpeed, and everything else from ours."""
    folder = tmp_path_factory.mktemp("deepspeed")
    venv.create(folder, with_pip=True)
    site = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (site / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, *PACKAGES], check=True, env=os.environ | {"DS_BUILD_OPS": "0", "DS_ACCELERATOR": "cpu"})
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few cases and a configuration; of the questions' rows none has a mask, of the reports' all have."""
    folder = tmp_path_factory.mktemp("material")
    cases = [*(chest(seed) for seed in range(6)), with_nodule(40, 60), with_nodule(50, 64)]
    write_shard(folder / "train", [Scene(case.kind, case.image, case.masks) for case in cases], "phantom")
    (folder / "manifest.json").write_text(json.dumps({"shards": [{"name": "train", "split": "train", "scenes": len(cases)}]}))
    sizes = {"model": "tiny", "rows": 4, "row_tokens": 512, "window": 4, "precision": "bfloat16", "checkpoint_steps": 2}
    (folder / "config.yaml").write_text(yaml.safe_dump(sizes | {"stages": STAGES}))
    return folder


def fit(python: Path, launched: list[str], script: list[str], material: Path, out: Path, *further: str) -> subprocess.CompletedProcess[str]:
    asked = ["--num_processes", "2", *launched, *script]
    given = ["--config", str(material / "config.yaml"), "--data", str(material), "--out", str(out), *further]
    settings = {"PYTHONPATH": str(ROOT), "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1", "PATH": f"{python.parent}:{os.environ['PATH']}"}
    settings["TORCH_EXTENSIONS_DIR"] = str(python.parents[1] / "extensions")  # the lock of a build that was killed elsewhere is waited for
    command = [python, "-m", "accelerate.commands.launch", *asked, *given]
    return subprocess.run(command, cwd=ROOT, env=os.environ | settings, capture_output=True, text=True, check=False)


ZERO2 = ["--use_deepspeed", "--deepspeed_config_file", "training/configs/zero2.json"]
ALONE = [str(Path(__file__).with_name("deepspeed_fit.py"))]


def test_zero_2_learns_what_two_plain_processes_learn_in_every_kind_of_stage(python: Path, material: Path, tmp_path: Path) -> None:
    for name, launched, script in (("plain", ["--cpu"], ["-m", "training.fit"]), ("zero", ZERO2, ALONE)):
        done = fit(python, launched, script, material, tmp_path / name)
        assert done.returncode == 0, done.stderr[-3000:]
    plain, zero = (list(csv.DictReader((tmp_path / name / "losses.csv").open())) for name in ("plain", "zero"))
    assert [row["stage"] for row in zero] == [stage["name"] for stage in STAGES for _ in range(int(str(stage["steps"])))]
    assert [float(row["total"]) for row in zero] == pytest.approx([float(row["total"]) for row in plain], rel=3e-3), (
        "but for the rounding of bfloat16; a step that is not taken moves these losses by ten times as much"
    )

    for launched, script in ((ZERO2, ALONE), (["--cpu"], ["-m", "training.fit"])):
        again = fit(python, launched, script, material, tmp_path / "zero", "--resume")
        assert again.returncode != 0
        said = again.stdout + again.stderr
        assert "A run under DeepSpeed cannot be resumed" in said, said[-3000:]
