"""A service that comes round is found well by its container's health check, and one that does not is found ill."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from connector.heartbeat import Heartbeat
from tests.deploy.installation import SERVICES


@pytest.mark.parametrize("service", ["watcher", "worker"])
def test_who_gave_no_sign_for_long_is_ill(service: str, tmp_path: Path) -> None:
    kind, check = SERVICES[service]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    shell = check.replace("/data", str(tmp_path)).replace("$$", "$")

    def is_well() -> bool:
        return subprocess.run(shell, shell=True, capture_output=True, check=False).returncode == 0

    assert not is_well()
    heartbeat = Heartbeat(tmp_path, service)
    heartbeat.beat()
    assert is_well()
    (sign,) = (tmp_path / "alive").iterdir()
    os.utime(sign, (time.time() - 3600,) * 2)
    assert not is_well()
    heartbeat.beat()
    assert is_well()
