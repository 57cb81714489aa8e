"""What the listener keeps from the archive, seen and let go over HTTP."""

from fastapi.testclient import TestClient

from connector.quarantine import Quarantine
from radiology.settings import Settings
from tests.connector.samples import radiograph


def test_what_is_held_is_named_and_goes_to_the_archive_when_asked(client: TestClient, settings: Settings) -> None:
    spool = settings.data_folder / "spool"
    (spool / "waiting").mkdir(parents=True)  # as the listener leaves it
    image = radiograph("1.2.3")
    image.save_as(spool / "came.dcm", enforce_file_format=True)
    Quarantine(spool).hold(spool / "came.dcm", "1.2.3", "1.2.3.4")
    (held,) = client.get("/api/v1/quarantine").json()
    assert (held["study_uid"], held["instance_uid"]) == ("1.2.3", "1.2.3.4")
    assert held["size_bytes"] > 0
    assert client.post("/api/v1/quarantine/1.2.3.5/release").status_code == 404
    assert client.post("/api/v1/quarantine/1.2.3.4/release").json() == {"files": 1}
    assert client.get("/api/v1/quarantine").json() == []
    assert [path.parent.name for path in (spool / "waiting").glob("*/*.dcm")] == ["1.2.3"]
