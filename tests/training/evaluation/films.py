"""A folder of radiographs as ``python -m training.evaluate`` takes it, made of phantoms."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.training.phantom import chest

NAMES = {"right lung": "right_lung", "left lung": "left_lung", "mediastinum": "cardiomediastinum"}


def block(top: int, left: int, bottom: int, right: int, side: int = 96) -> np.ndarray:
    mask = np.zeros((side, side), bool)
    mask[top:bottom, left:right] = True
    return mask


def write_film(folder: Path, name: str, findings: dict[str, np.ndarray], **entry: Any) -> dict[str, Any]:
    """Write the phantom with these masks on top of its lungs and mediastinum; return its entry of the manifest."""
    case = chest(0)
    masks = {NAMES[label]: mask for label, mask in case.masks.items()} | findings
    for part in ("images", "masks"):
        (folder / part).mkdir(exist_ok=True)
    Image.fromarray(case.image.clip(0, 255).astype(np.uint8)).save(folder / "images" / f"{name}.png")
    for label, mask in masks.items():
        Image.fromarray(mask).save(folder / "masks" / f"{name}_{label}.png")
    return {"id": name, "masks": {label: f"{name}_{label}.png" for label in masks}} | entry


def write_folder(folder: Path) -> None:
    """Two films of one patient, one of another, and a normal one without masks."""
    opacity = {"ground_glass_opacity": block(40, 60, 60, 76)}
    entries = [
        write_film(folder, "a1", opacity, patient="a", view="PA", sex="F", age="61"),
        write_film(folder, "a2", opacity | {"endotracheal_tube": block(4, 47, 20, 49)}, patient="a", view="AP", sex="F", age="61"),
        write_film(folder, "b1", {}, patient="b", view="PA", sex="", age="", report="The lungs are clear. No effusion."),
    ]
    normal = write_film(folder, "n1", {}, patient="n", view="PA") | {"masks": {}}
    (folder / "manifest.json").write_text(json.dumps(entries))
    (folder / "negatives.json").write_text(json.dumps([normal]))
