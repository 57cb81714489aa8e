"""What is known about a demo study, kept beside its images, and how a report compares with it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiology.finding import Box, Finding, Presence, Region, Side
from radiology.terms import TERMS

_SAME = {"mass": "nodule"}
"""Names for one thing: a nodule above 30 mm is called a mass."""


@dataclass(frozen=True)
class Truth:
    """What is known about one study.

    Attributes:
        findings: structures and findings with their masks, each one present.
        complete: whether every finding that is not listed is known to be absent.
    """

    findings: tuple[Finding, ...]
    complete: bool

    def save(self, folder: Path) -> None:
        """Write ``truth.json``, and the masks as packed bits to ``truth.npz``."""
        listed: list[dict[str, Any]] = []
        masks: dict[str, Any] = {}
        for finding in self.findings:
            for region in finding.regions:
                assert region.mask is not None
                key = f"mask_{len(masks)}"
                masks[key] = np.packbits(region.mask)
                listed.append(
                    {
                        "name": finding.name,
                        "side": finding.side,
                        "sentence": finding.sentence,
                        "series_uid": region.series_uid,
                        "start": region.box.start,
                        "stop": region.box.stop,
                        "mask": key,
                    }
                )
        np.savez_compressed(folder / "truth.npz", **masks)
        (folder / "truth.json").write_text(json.dumps({"complete": self.complete, "findings": listed}, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Truth:
        """Read what :meth:`save` wrote."""
        stored = json.loads((folder / "truth.json").read_text())
        findings = []
        with np.load(folder / "truth.npz") as masks:
            for item in stored["findings"]:
                box = Box(tuple(item["start"]), tuple(item["stop"]))
                mask = np.unpackbits(masks[item["mask"]], count=int(np.prod(box.shape))).astype(bool).reshape(box.shape)
                side = Side(item["side"]) if item["side"] else None
                findings.append(
                    Finding(item["name"], item["sentence"], side=side, regions=(Region(item["series_uid"], box, mask),), confidence=1.0)
                )
        return cls(tuple(findings), bool(stored["complete"]))


@dataclass(frozen=True)
class Score:
    """One line of the comparison.

    Attributes:
        name: the term.
        side: the patient's side.
        verdict: ``found``, ``missed``, or ``false alarm``.
        dice: overlap of the report's mask with the true one, 0 to 1; None where there is nothing to overlap with.
    """

    name: str
    side: Side | None
    verdict: str
    dice: float | None


def compare(findings: Sequence[Finding], truth: Truth) -> list[Score]:
    """Compare a report's findings with what is known. A name counts as found when it is stated on the right side, wherever it was drawn."""
    stated = [finding for finding in findings if finding.presence is Presence.PRESENT]
    scores = []
    for true in truth.findings:
        same = [finding for finding in stated if _agree(finding, true)]
        verdict = "found" if same else "missed"
        scores.append(Score(true.name, true.side, verdict, _best_dice(same, true.regions[0]) if same else 0.0))
    if truth.complete:
        for finding in stated:
            known = finding.name in TERMS and TERMS[finding.name].kind == "finding"
            if known and not any(_agree(finding, true) for true in truth.findings):
                scores.append(Score(finding.name, finding.side, "false alarm", None))
    return scores


def _agree(finding: Finding, true: Finding) -> bool:
    same_name = _SAME.get(finding.name, finding.name) == _SAME.get(true.name, true.name)
    return same_name and (true.side is None or finding.side in (true.side, Side.BILATERAL))


def _best_dice(findings: Iterable[Finding], true: Region) -> float:
    """Dice of the best sentence's masks; of one that speaks of both sides, each mask stands for itself."""
    candidates: list[tuple[Region, ...]] = []
    for finding in findings:
        candidates += [(region,) for region in finding.regions] if finding.side is Side.BILATERAL else [finding.regions]
    return max((_dice(regions, true) for regions in candidates), default=0.0)


def _dice(regions: Sequence[Region], true: Region) -> float:
    drawn = [region for region in regions if region.series_uid == true.series_uid and region.mask is not None]
    if not drawn:
        return 0.0
    everything = [*drawn, true]
    shape = tuple(max(region.box.stop[axis] for region in everything) for axis in range(3))
    ours, theirs = _painted(drawn, shape), _painted([true], shape)
    return float(2 * np.count_nonzero(ours & theirs) / (np.count_nonzero(ours) + np.count_nonzero(theirs)))


def _painted(regions: Sequence[Region], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    canvas = np.zeros(shape, bool)
    for region in regions:
        assert region.mask is not None
        canvas[region.box.slices] |= region.mask
    return canvas
