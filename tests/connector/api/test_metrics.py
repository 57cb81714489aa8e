"""What Prometheus reads of an installation."""

import json
import re
from pathlib import Path

from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from connector.ledger import Ledger, Outcome
from connector.spool import Spool
from radiology.jobs import JobState
from radiology.settings import Settings


def test_work_and_disk_are_counted_and_no_study_is_named(client: TestClient, ledger: Ledger, settings: Settings) -> None:
    for number, steps in enumerate((1, 2, 3)):
        job = ledger.arriving(f"1.2.840.{number}", "CT", "Instances are arriving.")
        if steps > 1:
            ledger.queue(job.job_id, f"{number}", "Complete.")
        if steps > 2:
            ledger.take(job.job_id, "worker-1")
            ledger.finish(job.job_id, "worker-1", JobState.DONE, "Stored.", Outcome(parts={"queue": 1.5, "model": 4.0}))
    Spool(settings.data_folder / "spool").keep("1.2.840.0", "1.2.840.0.1", b"waits")
    answer = client.get("/api/v1/metrics")
    assert answer.status_code == 200
    assert "1.2.840" not in answer.text
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert [values["sightline_jobs", state] for state in ("arriving", "queued", "running", "done", "failed")] == [1, 1, 0, 1, 0]
    assert values["sightline_reading_seconds", "model"] == 4.0
    assert values["sightline_spooled_instances", "waiting"] == 1
    assert values["sightline_oldest_queued_seconds",] >= 0
    assert values["sightline_paused",] == 0
    assert values["sightline_free_bytes",] > 0
    dashboard = json.loads((Path(__file__).parents[3] / "deploy" / "grafana.json").read_text())
    drawn = {name for panel in dashboard["panels"] for target in panel["targets"] for name in re.findall(r"sightline_\w+", target["expr"])}
    assert drawn == {name for name, *_ in values}
