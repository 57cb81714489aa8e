"""Route: metrics for Prometheus, counted in the ledger and on the disk when they are asked for; nothing of a patient, not even a UID."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from connector.ledger import Ledger
from radiology.jobs import JobState
from radiology.settings import Settings


class Work(Collector):
    """The state of the work, as metrics."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._settings = settings
        self._ledger = ledger

    def collect(self) -> Iterator[Metric]:
        """Yield every metric; raises :class:`~radiology.errors.LedgerError` where the ledger fails."""
        load = self._ledger.load(datetime.now(UTC))
        jobs = GaugeMetricFamily("sightline_jobs", "Jobs by state.", labels=["state"])
        for state in JobState:
            jobs.add_metric([state], load.jobs.get(state, 0))
        yield jobs
        yield GaugeMetricFamily("sightline_oldest_queued_seconds", "How long the oldest queued job has waited.", load.oldest_queued_seconds)
        is_paused = "1 where no study is taken up for now, because somebody said so."
        yield GaugeMetricFamily("sightline_paused", is_paused, float(self._ledger.paused() is not None))
        attempts = "Attempts of all jobs beyond the first: a worker died, or the archive was away."
        yield CounterMetricFamily("sightline_repeated_attempts", attempts, load.repeated_attempts)
        what = "Median seconds of each part of the newest finished readings; the queue is one."
        seconds = GaugeMetricFamily("sightline_reading_seconds", what, labels=["part"])
        for part, median in sorted(load.part_seconds.items()):
            seconds.add_metric([part], median)
        yield seconds
        spool = self._settings.data_folder / "spool"
        instances = GaugeMetricFamily("sightline_spooled_instances", "Instances on this disk, by what they wait for.", labels=["folder"])
        for folder in ("waiting", "refused"):
            instances.add_metric([folder], sum(1 for _ in (spool / folder).glob("*/*.dcm")))
        yield instances
        free = shutil.disk_usage(self._settings.data_folder).free
        yield GaugeMetricFamily("sightline_free_bytes", "Room on the disk of the data folder.", free)


def routes(settings: Settings, ledger: Ledger) -> APIRouter:
    """Return the route ``/metrics``."""
    router = APIRouter(tags=["health"])
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Work(settings, ledger))

    @router.get("/metrics", summary="Metrics, as Prometheus reads them", response_class=Response)
    def get_metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router
