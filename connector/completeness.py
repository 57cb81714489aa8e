"""When is a study complete? No single sign is enough, so all of them must agree, up to a longest wait."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from radiology.settings import WatcherSettings


@dataclass(frozen=True)
class Acquisition:
    """What the performed procedure steps of a study say, if there are any: how many go on, how many instances they name, and how many
    of these the archive does not hold."""

    in_progress: int = 0
    named: int = 0
    missing: int = 0


@dataclass(frozen=True)
class Arrival:
    """What is known of a study that may still be arriving.

    Attributes:
        first_seen: when its first instance was noticed.
        last_change: when an instance, or another count, was last noticed.
        senders: AE titles that are sending it now, or hold instances of it back.
        counts: instances that the archive says it holds: before, and now.
        acquisition: what modalities say of it.
    """

    first_seen: datetime
    last_change: datetime
    senders: frozenset[str]
    counts: tuple[int, int]
    acquisition: Acquisition = Acquisition()


@dataclass(frozen=True)
class Completeness:
    """The answer, and a sentence that says why."""

    complete: bool
    reason: str


def judge(arrival: Arrival, now: datetime, settings: WatcherSettings) -> Completeness:
    """Decide whether a study is complete at the moment ``now``."""
    before, count = arrival.counts
    held = f"{count} instance{'s'[: count != 1]}"
    if count and now - arrival.first_seen >= timedelta(seconds=settings.longest_wait_seconds):
        return Completeness(True, f"{held}; read although it may be incomplete, after {settings.longest_wait_seconds:g} s.")
    if arrival.senders:
        return Completeness(False, f"Being sent by {', '.join(sorted(arrival.senders))}.")
    acquisition = arrival.acquisition
    if acquisition.in_progress:
        return Completeness(False, "Being acquired: a procedure step of its modality is in progress.")
    if acquisition.named and not acquisition.missing:
        return Completeness(True, f"{held}; acquired, and all {acquisition.named} that the modality names are in the archive.")
    if before != count or now - arrival.last_change < timedelta(seconds=settings.quiet_seconds):
        return Completeness(False, "Instances are arriving.")
    reason = f"{held}; quiet for {settings.quiet_seconds:g} s, nobody sending, and the archive's count agrees."
    if acquisition.missing:
        reason += f" Acquired, but {acquisition.missing} of {acquisition.named} that the modality names have not come."
    return Completeness(True, reason)
