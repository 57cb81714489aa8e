"""The summary of a report, from its sentences."""

from __future__ import annotations

from collections.abc import Sequence

from radiology.finding import Finding, Presence
from radiology.terms import TERMS


def summarise(findings: Sequence[Finding]) -> str:
    """Say which findings are stated, each name and side once; as such those that are flagged and that no radiologist has looked at."""
    names: dict[str, bool] = {}
    for finding in findings:
        term = TERMS.get(finding.name)
        if finding.presence is not Presence.ABSENT and term is not None and term.kind != "structure":
            words = f"{finding.side.value} {finding.name}" if finding.side else finding.name
            names[words] = names.get(words, True) and bool(finding.flags) and finding.judged is None
    if not names:
        return "No finding is stated."
    listed = "; ".join(f"{words}{' (needs a second look)' * flagged}" for words, flagged in names.items())
    return f"{listed[0].upper()}{listed[1:]}."
