"""Cases for the eye: each image beside itself with its masks drawn in, many on one sheet.

``python -m training.data.contact_sheet --data DIR --out sheet.png``; look before you train.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ai_engine.model.images import Kind, windowed
from radiology.terms import TERMS
from training.data.cases import Case, Cases, Split
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


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the shards")
    parser.add_argument("--out", type=Path, required=True, help="PNG to write")
    parser.add_argument("--split", choices=get_args(Split), default="train")
    parser.add_argument("--kind", choices=get_args(Kind), default="projection")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="which cases are drawn")
    arguments = parser.parse_args()
    cases = Cases(arguments.data, arguments.split)
    drawn: list[Case] = []
    for index in np.random.default_rng(arguments.seed).permutation(len(cases)):
        if len(drawn) < arguments.count and (case := cases[int(index)]).kind == arguments.kind:
            drawn.append(case)
    sheet(drawn).save(arguments.out)


if __name__ == "__main__":
    main()
