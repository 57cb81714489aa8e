"""python -m training.assemble --qwen DIR --sam2 FILE --out DIR: what the paper's stages start from, in Citrus-V's published layout.

The operator brings both: a folder of Qwen2.5-VL-7B-Instruct and ``sam2_hiera_large.pt``. The projector between them is fresh.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ai_engine.model.weights import assemble, export_published
from training.command import run


def main(
    qwen: Annotated[Path, typer.Option(help="Folder of Qwen2.5-VL-7B-Instruct, with its tokenizer.json.")],
    sam2: Annotated[Path, typer.Option(help="Official SAM 2 checkpoint, sam2_hiera_large.pt.")],
    out: Annotated[Path, typer.Option(help="Folder to write, such as var/8b/0.")],
) -> None:
    """Put a published language model and segmenter together as the model of which training makes Citrus-V-8B."""
    model, language = assemble(qwen, sam2)
    print(f"{out}: SHA-256 {export_published(out, model, language)}")


if __name__ == "__main__":
    run(main)
