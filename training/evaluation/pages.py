"""Tables and plots of figures: ``python -m training.evaluation.pages --name films --docs docs FILE [FILE ...]``.

Each FILE is the JSON of one reader (``training.evaluate --json``, ``benchmarks.unet --json``) on the same images; the first is the one that
the page is about. Written are ``DIR/evaluation-NAME.md`` and ``DIR/pictures/evaluation-NAME-*.png``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import matplotlib
import typer

from training.command import run

matplotlib.use("Agg")
from matplotlib import pyplot

from training.evaluation.figures import HEADLINE, Figures
from training.evaluation.measured import STRUCTURES

_OF_STRUCTURES = {
    "Dice": "dice",
    "median": "dice_median",
    "P@0.5": "p_at_50",
    "surface distance": "surface_distance",
    "HD95": "hd95",
    "not drawn": "not_drawn",
    "images": "n",
}
_OF_FINDINGS = {
    "precision": "precision",
    "recall": "recall",
    "F1": "f1",
    "F1 by side": "by_side.f1",
    "false positives": "false_positive_rate",
    "Dice": "dice",
    "P@0.5": "p_at_50",
    "of shown": "p_at_50_shown",
    "with": "with",
    "without": "without",
}


def write_page(readers: Sequence[Figures], name: str, folder: Path) -> Path:
    """Write the page of one or more readers' figures on the same images; return where it is."""
    first = readers[0]
    lines = [
        f"# {name}",
        "",
        f"{first['images']} images of {first['patients']} patients, {first['unreadable_share']:.1%} unreadable answers. Written by "
        "`python -m training.evaluation.pages`; [what each figure means](evaluation.md).",
        "",
        "## Headline figures",
        "",
        *_table(["figure", "n", *(f"{each['reader']} (95 %)" for each in readers)], (_headline_row(readers, each) for each in HEADLINE)),
    ]
    lines += ["", f"## More of {first['reader']}", "", *_tables(first)]
    if first.get("tasks"):
        lines += ["", "## Asked for by itself", "", *_answers(first["tasks"])]
    if first.get("corruptions"):
        lines += ["", "## Made worse", "", *_table(["how", "severity", *HEADLINE], _worse_rows(first["corruptions"]))]
    pictures = folder / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    for kind, draw in _PLOTS.items():
        file = f"evaluation-{name}-{kind}.png"
        if draw(readers, pictures / file):
            lines += ["", f"![{kind}](pictures/{file})"]
    page = folder / f"evaluation-{name}.md"
    page.write_text("\n".join(lines) + "\n")
    return page


def at(figures: Figures, name: str) -> Any:
    """The figure at a dotted place; None where there is none."""
    value: Any = figures
    for key in name.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _headline_row(readers: Sequence[Figures], name: str) -> list[str]:
    return [name, str(readers[0]["n"][name]), *(_with_interval(at(each, name), each["intervals"][name]) for each in readers)]


def _with_interval(value: float | None, ends: Sequence[float] | None) -> str:
    return _cell(value) + (f" ({ends[0]:.2f} to {ends[1]:.2f})" if ends else "")


def _tables(figures: Figures) -> list[str]:
    lines = _table(["structure", *_OF_STRUCTURES], _rows(figures["structures"], _OF_STRUCTURES))
    if figures["findings"]:
        lines += ["", *_table(["finding", *_OF_FINDINGS], _rows(figures["findings"], _OF_FINDINGS)), ""]
        stated = ["present", "undetermined", "absent", "not mentioned"]
        rows = (
            [name.replace("_", " "), there, *(str(found["presence"][there][word]) for word in stated)]
            for name, found in figures["findings"].items()
            for there in ("present", "absent")
        )
        lines += _table(["finding", "truth", *(f"stated: {word}" for word in stated)], rows)
    scores = {f"RadFact by rules: {name}": figures["radfact"][name] for name in ("precision", "recall", "f1", "grounded")}
    if figures["text"]:
        scores |= {"ROUGE-L": figures["text"]["rouge_l"], "CIDEr": figures["text"]["cider"]}
    scores["seconds an image"] = figures["seconds_per_image"]
    lines += ["", *_table(["score", "value"], ([name, _cell(value)] for name, value in scores.items())), ""]
    lines += _table(["group", "images", *HEADLINE], _group_rows(figures))
    return lines


def _answers(tasks: Figures) -> list[str]:
    """What was asked for by itself: places of each target, then yes or no to each finding."""
    boxes = tasks["detection"]
    rows = (
        [name.replace("_", " "), str(each["n"]), _cell(each["dice"]), _cell(boxes[name]["p_at_50"])]
        for name, each in tasks["segmentation"].items()
    )
    absent = ["absent, given a place", str(tasks["absent_n"]), _cell(tasks["absent_drawn"]), _cell(tasks["absent_boxed"])]
    lines = _table(["target", "n", "Dice", "P@0.5"], [*rows, absent])
    columns = {"recall": "recall", "false positives": "false_positive_rate", "F1": "f1", "with": "with", "without": "without"}
    return [*lines, "", *_table(["is there any?", *columns], _rows(tasks["questions"], columns))]


def _rows(parts: Figures, columns: dict[str, str]) -> Iterable[list[str]]:
    return ([name.replace("_", " "), *(_cell(at(part, key)) for key in columns.values())] for name, part in parts.items())


def _group_rows(figures: Figures) -> Iterable[list[str]]:
    for name, group in figures["subgroups"].items():
        yield [name, str(group["images"]), *(_with_interval(group["figures"][each], group["intervals"][each]) for each in HEADLINE)]


def _worse_rows(curves: dict[str, list[Figures]]) -> Iterable[list[str]]:
    """The images as they are, then each corruption at each severity."""
    untouched = next(iter(curves.values()))[0]
    yield ["as they are", "0", *(_cell(untouched[name]) for name in HEADLINE)]
    for how, steps in curves.items():
        yield from ([how, str(step["severity"]), *(_cell(step[name]) for name in HEADLINE)] for step in steps[1:])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [_line(head), _line(["---"] + ["--:"] * (len(head) - 1)), *map(_line, rows)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def _draw_dice(readers: Sequence[Figures], path: Path) -> bool:
    """A box plot of Dice by structure, one box a reader."""
    figure, axes = pyplot.subplots(1, len(STRUCTURES), figsize=(9, 3.2), sharey=True)
    for axis, name in zip(axes, STRUCTURES, strict=True):
        values = [[image["dice"][name] for image in each["by_image"].values() if name in image["dice"]] for each in readers]
        axis.boxplot(values, tick_labels=[each["reader"] for each in readers], showmeans=True)
        axis.set(title=name.replace("_", " "), ylim=(0, 1))
    axes[0].set_ylabel("Dice")
    return _save(figure, path)


def _draw_calibration(readers: Sequence[Figures], path: Path) -> bool:
    """How often opacity is there, against how probable the reader finds it; the larger a point the more images."""
    if not any(each["calibration"] for each in readers):
        return False
    figure, axis = pyplot.subplots(figsize=(4.2, 4))
    axis.plot([0, 1], [0, 1], "--", color="grey")
    for each in readers:
        bins = each["calibration"]
        points = [row["probability"] for row in bins], [row["true_share"] for row in bins]
        axis.scatter(*points, s=[8 + 6 * row["count"] for row in bins], label=each["reader"], alpha=0.7)
    axis.set(xlabel="probability of opacity, by the reader", ylabel="share of images with opacity", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axis.legend()
    return _save(figure, path)


def _draw_corruptions(readers: Sequence[Figures], path: Path) -> bool:
    """Each headline figure against severity, one line a corruption, of the first reader that has them."""
    curves = next((each["corruptions"] for each in readers if each.get("corruptions")), None)
    if curves is None:
        return False
    figure, axes = pyplot.subplots(2, 4, figsize=(13, 6))
    for axis, name in zip(axes.flat, HEADLINE, strict=True):
        for how, steps in curves.items():
            known = [(step["severity"], step[name]) for step in steps if step[name] is not None]
            axis.plot([severity for severity, _ in known], [value for _, value in known], marker="o", markersize=3, label=how)
        axis.set_title(name, fontsize=9)
        axis.set(xlabel="severity", ylim=(0, 1))
    axes.flat[0].legend(fontsize=7)
    return _save(figure, path)


def _save(figure: Any, path: Path) -> bool:
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
    return True


_PLOTS: dict[str, Callable[[Sequence[Figures], Path], bool]] = {
    "dice": _draw_dice,
    "calibration": _draw_calibration,
    "corruptions": _draw_corruptions,
}


def main(
    files: Annotated[list[Path], typer.Argument(help="Figures of each reader on the same images; the page is about the first.")],
    name: Annotated[str, typer.Option(help="What the images are called, in the page's file name.")],
    docs: Annotated[Path, typer.Option(help="Folder of the page.")] = Path("docs"),
) -> None:
    """Write the page of figures that were measured before."""
    print(write_page([json.loads(file.read_text()) for file in files], name, docs))


if __name__ == "__main__":
    run(main)
