"""The X-ray route: our own model, trained on projected CTs, boxes real radiographs, and their reports become reasoning over the boxes.

``python -m training.data.xray --films DIR --weights DIR --out DIR``. Both folders are laid out as :mod:`training.evaluation.truth` reads
them: ``manifest.json``, ``images/ID.png`` and ``masks/FILE``. An entry of the input needs a ``report``. An entry of the output has it
again, with what was detected (label, score, box in source pixels, draft mask), the ``answer`` to train on, whose boxes count in the
model's picture of ``image_size`` pixels, the patient's split, and the hash of every file (Citrus-V 3.2.4 c).
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

from ai_engine.model.assistant import Assistant
from ai_engine.model.images import Box, Letterbox
from ai_engine.model.reading import ReadSentence
from radiology.errors import UnreadableAnswer
from radiology.finding import Presence
from radiology.terms import TERMS
from training.command import run
from training.data.manifest import check_patients, file_hash, read_manifest, split_of
from training.data.quality import QualityFilter, Sample
from training.data.rationale import Facts, Writer, reasoned
from training.data.retelling import retell
from training.evaluation.overlap import box_of
from training.evaluation.truth import FILM_NAMES

LEAST_SCORE = 0.5
"""A detection below this is dropped."""
SHARES = {"train": 0.8, "held_out": 0.2}
NO_RATIONALE = "NO_RATIONALE"
"""The reason of a film whose report could not be told over its boxes; the other reasons are :class:`training.data.quality.Reason`."""


_FILE_NAMES = {label: name for name, label in FILM_NAMES.items()}


@dataclass(frozen=True, eq=False)
class Detection:
    """Something that the model saw.

    Attributes:
        label: a name of :data:`radiology.terms.TERMS` with its side before it where it has one.
        score: 0 to 1, the mask's: whether the finding is there at all is for the report to say.
        mask: (row, column) in source pixels.
        box: (row0, column0, row1, column1) around it.
    """

    label: str
    score: float
    mask: NDArray[np.bool_]
    box: Box


def detections(assistant: Assistant, image: NDArray[np.float32]) -> list[Detection]:
    """What a reading marks on a radiograph (row, column) with a score of at least :data:`LEAST_SCORE`, the best of each label.

    Empty where the model's answer cannot be read.
    """
    try:
        reading = assistant.read(image, "projection")
    except UnreadableAnswer:
        return []
    best: dict[str, Detection] = {}
    for sentence in reading.sentences:
        for seen in _marked(sentence):
            if seen.score >= LEAST_SCORE and (seen.label not in best or best[seen.label].score < seen.score):
                best[seen.label] = seen
    return list(best.values())


def _marked(sentence: ReadSentence) -> list[Detection]:
    if sentence.name not in TERMS or sentence.presence is Presence.ABSENT:
        return []
    found = []
    for place in sentence.places:
        side = place.side or sentence.side
        box = None if place.mask is None else box_of(place.mask.pixels)
        if place.mask is None or box is None or (TERMS[sentence.name].paired and side is None):
            continue
        label = f"{side} {sentence.name}" if side and TERMS[sentence.name].paired else sentence.name
        found.append(Detection(label, place.mask.score, place.mask.pixels, box))
    return found


def rationale(seen: Sequence[Detection], shape: tuple[int, int], image_size: int, report: str, write: Writer = retell) -> str | None:
    """The report as reasoning over the detections' boxes, in the model's picture; None where no text passes the checks."""
    frame = Letterbox.fit(shape, image_size)
    boxes = {each.label: frame.box_to_model(each.box) for each in seen}
    try:
        return reasoned(Facts(boxes, report), write)
    except UnreadableAnswer:  # a report without a sentence about anything that has a name here
        return None


def collect(films: Path, assistant: Assistant, out: Path) -> Counter[str]:
    """Write what of ``films`` becomes a case to ``out``; return how many films each reason took, ``kept`` among them."""
    for folder in ("images", "masks"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    look = QualityFilter(assistant.language)
    counts: Counter[str] = Counter()
    entries = []
    for entry in track(read_manifest(films / "manifest.json"), description="films"):
        source = films / "images" / f"{entry['id']}.png"
        image = np.asarray(Image.open(source).convert("L"), np.float32)
        report = str(entry.get("report") or "")
        reason = look.reason(Sample(report, frames=(image,)))
        if reason is not None:
            counts[reason] += 1
            continue
        seen = detections(assistant, image)
        answer = rationale(seen, (image.shape[0], image.shape[1]), assistant.config.image_size, report)
        if answer is None:
            counts[NO_RATIONALE] += 1
            continue
        counts["kept"] += 1
        shutil.copyfile(source, out / "images" / source.name)
        entries.append(_entry(entry, seen, out) | {"report": report, "answer": answer, "image_size": assistant.config.image_size})
    check_patients((entry["patient"], entry["split"]) for entry in entries)
    (out / "manifest.json").write_text(json.dumps(entries, indent=1) + "\n")
    return counts


def _entry(entry: Mapping[str, Any], seen: Sequence[Detection], out: Path) -> dict[str, Any]:
    """Write the draft masks of a film, and what the manifest says of it, hashes last."""
    masks = {}
    for each in seen:
        name = _FILE_NAMES.get(each.label, each.label.replace(" ", "_"))
        masks[name] = f"{entry['id']}_{name}.png"
        Image.fromarray(each.mask).save(out / "masks" / masks[name])
    files = [f"images/{entry['id']}.png", *(f"masks/{name}" for name in masks.values())]
    patient = str(entry.get("patient") or entry["id"])
    return {
        "id": entry["id"],
        "patient": patient,
        "split": split_of(patient, SHARES),
        "view": entry.get("view"),
        "state": "draft",
        "masks": masks,
        "detections": [{"label": each.label, "score": round(each.score, 4), "box": each.box} for each in seen],
        "sha256": {name: file_hash(out / name) for name in files},
    }


def main(
    films: Annotated[Path, typer.Option(help="Folder of radiographs with reports in manifest.json.")],
    weights: Annotated[Path, typer.Option(help="Weights folder of the model that detects.")],
    out: Annotated[Path, typer.Option(help="Folder of the cases.")],
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
) -> None:
    """Make cases of radiographs with reports."""
    counts = collect(films, Assistant.load(weights, threads=threads), out)
    typer.echo(", ".join(f"{reason}: {count}" for reason, count in counts.most_common()))


if __name__ == "__main__":
    run(main)
