"""Cases for the eye: each image beside itself with its masks drawn in, many on one sheet.

``python -m training.data.contact_sheet --data DIR --out sheet.png``; look before you train.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image

from ai_engine.model.images import Kind, windowed
from radiology.terms import TERMS
from training.command import run
from training.data.cases import Case, Cases, Split
from training.data.manifest import ManifestError
from training.data.scene import SIZE
from training.parts import name_of

_LEFT_LUNG = (90, 110, 255)
"""Unlike the right lung's colour, so that a mix-up of sides leaps to the eye."""


def sheet(cases: Sequence[Case], pairs_a_row: int = 4) -> Image.Image:
    """Draw cases, each as it is and with its masks, side by side."""
    tiles = [tile for case in cases for tile in (_tile(case, {}), _tile(case, case.masks))]
    across = 2 * pairs_a_row
    picture = Image.new("RGB", (across * SIZE, -(-len(tiles) // across) * SIZE))
    for number, tile in enumerate(tiles):
        picture.paste(Image.fromarray(tile), (number % across * SIZE, number // across * SIZE))
    return picture


def _tile(case: Case, masks: dict[str, NDArray[np.bool_]]) -> NDArray[np.uint8]:
    grey = windowed(case.image.astype(np.float32), case.kind)[0].astype(np.float32)
    tile = np.repeat(grey[..., None], 3, axis=2)
    for label, mask in masks.items():
        colour = np.asarray(_LEFT_LUNG if label == "left lung" else TERMS[name_of(label)].colour, np.float32)
        inner = mask.copy()
        for axis in (0, 1):
            inner &= np.roll(mask, 1, axis) & np.roll(mask, -1, axis)
        tile[mask] = 0.85 * tile[mask] + 0.15 * colour
        tile[mask & ~inner] = colour
    return tile.astype(np.uint8)


def main(
    data: Annotated[Path, typer.Option(help="Folder of the shards.")],
    out: Annotated[Path, typer.Option(help="PNG to write.")],
    split: Annotated[Split, typer.Option(help="Which cases.")] = "train",
    kind: Annotated[Kind, typer.Option(help="Films or slices.")] = "projection",
    count: Annotated[int, typer.Option(help="At most so many.")] = 20,
    seed: Annotated[int, typer.Option(help="Which cases are drawn.")] = 0,
) -> None:
    """Draw cases with and without their masks."""
    cases = Cases(data, split)
    of_kind = (int(index) for index in np.random.default_rng(seed).permutation(len(cases)) if cases.kind(int(index)) == kind)
    drawn = [cases[index] for index in islice(of_kind, count)]
    if not drawn:
        raise ManifestError(f"{data} holds no {kind} of the split {split}; see its manifest.json.")
    sheet(drawn).save(out)


if __name__ == "__main__":
    run(main)
