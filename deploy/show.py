"""What the demo prints: a live line per study, and each report with its places beside what is known."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from deploy.studies import DemoStudy
from deploy.truth import Score, compare
from radiology.finding import Region
from radiology.jobs import Job, JobState
from radiology.report import Report

_COLOURS = {JobState.DONE: "green", JobState.FAILED: "red", JobState.REFUSED: "yellow"}
_VERDICT_COLOURS = {"found": "green", "missed": "yellow", "false alarm": "red"}


@dataclass(frozen=True)
class Result:
    """What came of one study. ``report`` is read back from the archive; ``sr`` and ``seg`` are SOP Instance UIDs."""

    study: DemoStudy
    job: Job | None
    report: Report | None
    sr: tuple[str, ...]
    seg: tuple[str, ...]

    @property
    def seconds(self) -> float | None:
        """From the study's first sign in the archive to its final state."""
        return (self.job.updated - self.job.created).total_seconds() if self.job else None

    @property
    def scores(self) -> list[Score]:
        """The comparison with what is known; empty where nothing is."""
        return compare(self.report.findings, self.study.truth) if self.report and self.study.truth else []

    def as_json(self) -> dict[str, Any]:
        """Return the result as ``--json`` writes it."""
        return {
            "study_uid": self.study.study_uid,
            "description": self.study.description,
            "state": self.job.state if self.job else None,
            "reason": self.job.reason if self.job else "It never arrived in the archive.",
            "seconds": self.seconds,
            "sr": list(self.sr),
            "seg": list(self.seg),
            "impression": self.report.impression if self.report else None,
            "withheld": list(self.report.withheld) if self.report else [],
            "findings": [
                {
                    "name": finding.name,
                    "sentence": finding.sentence,
                    "presence": finding.presence,
                    "side": finding.side,
                    "confidence": finding.confidence,
                    "flags": list(finding.flags),
                    "places": [
                        {
                            "series_uid": region.series_uid,
                            "start": region.box.start,
                            "stop": region.box.stop,
                            "pixels": int(region.mask.sum()) if region.mask is not None else None,
                            "score": region.score,
                        }
                        for region in finding.regions
                    ],
                }
                for finding in (self.report.findings if self.report else ())
            ],
            "scores": [{"name": s.name, "side": s.side, "verdict": s.verdict, "dice": s.dice} for s in self.scores],
        }


class Progress:
    """A line per study that follows its job; where the output is no terminal, a line per change."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lines: dict[str, tuple[str, JobState | None, str]] = {}
        self._live = Live(console=console, refresh_per_second=4) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def update(self, study: DemoStudy, job: Job | None) -> None:
        """Show where the study is now; ``job`` is None before it arrived."""
        line = (study.description, job.state, job.reason) if job else (study.description, None, "on its way to the archive")
        if self._lines.get(study.study_uid) == line:
            return
        self._lines[study.study_uid] = line
        if self._live:
            table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
            for description, state, reason in self._lines.values():
                table.add_row(description, _state(state), Text(reason))
            self._live.update(table)
        else:
            self._console.print(f"{line[0]}: {line[1] or 'sent'}: {line[2]}", markup=False, soft_wrap=True)


def print_result(result: Result, console: Console) -> None:
    """Print a study's report: each sentence with its places, and how it compares with what is known."""
    console.print()
    console.rule(Text(result.study.description, style="bold"), align="left")
    if result.report is None:
        console.print(Text.assemble(_state(result.job.state if result.job else None), "  ", result.job.reason if result.job else ""))
        return
    for finding in result.report.findings:
        console.print(Text.assemble("  ", finding.sentence, (f"  ({finding.confidence:.2f})", "dim")), soft_wrap=True)
        for region in finding.regions:
            console.print(Text(f"      {_place(region)}", style="dim"), soft_wrap=True)
        for flag in finding.flags:
            console.print(Text(f"      flagged: {flag}", style="yellow"), soft_wrap=True)
    for sentence in result.report.withheld:
        console.print(Text(f"  {sentence}", style="yellow"), soft_wrap=True)
    console.print(Text.assemble(("  Impression: ", "bold"), result.report.impression), soft_wrap=True)
    if result.scores:
        console.print(
            "  Compared with what is known (the model was trained on this patient too: no measure of how good it is):", soft_wrap=True
        )
        for score in result.scores:
            dice = "" if score.dice is None else f"  Dice {score.dice:.2f}"
            side = f"{score.side} " if score.side else ""
            console.print(Text.assemble(f"    {side}{score.name}: ", (score.verdict, _VERDICT_COLOURS[score.verdict]), dice))
    took = f"in {result.seconds:.1f} s" if result.seconds is not None else ""
    console.print(Text(f"  {len(result.sr)} SR and {len(result.seg)} SEG in the archive {took}", style="dim"))


def _state(state: JobState | None) -> Text:
    return Text(state or "sent", style=_COLOURS.get(state, "cyan") if state else "dim")


def _place(region: Region) -> str:
    (first, top, left), (last, bottom, right) = region.box.start, region.box.stop
    slices = f"slice {first}" if last == first + 1 else f"slices {first} to {last - 1}"
    pixels = f", {int(region.mask.sum())} pixels" if region.mask is not None else ""
    return f"{slices}, rows {top} to {bottom - 1}, columns {left} to {right - 1}{pixels}, score {region.score:.2f}"
