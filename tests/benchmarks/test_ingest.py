"""The benchmark of the listener gives its figures; what they are depends on the machine."""

import pytest

from benchmarks.ingest import measure


@pytest.mark.slow
def test_every_receiver_is_measured_at_every_number_of_associations() -> None:
    figures = measure(rounds=1, slices=6, associations=(1, 2), side=64)
    assert set(figures["seconds"]) == {"sightline", "orthanc", "storescp", "plain_pynetdicom", "nothing"}
    for peer in ("orthanc", "storescp", "plain_pynetdicom"):
        assert all(figures[f"ratio_to_{peer}"][count]["median"] > 0 for count in ("1", "2"))
