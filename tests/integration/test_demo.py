"""The demonstration, small: it runs to its end and checks itself, and Ctrl-C leaves nothing."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

SMALL: Final = (
    *(sys.executable, "-m", "service.demo"),
    *("--customers", "500", "--products", "1500", "--seed", "7"),
)
DEMO_SECONDS_MAX: Final = 500.0
"""A bound against hanging; not a performance claim."""


def environment(directory: Path) -> dict[str, str]:
    """Give an environment in which the demonstration leaves its files where we can look."""
    return os.environ | {"TMPDIR": str(directory), "MAYWE_POSTGRES_URL": "postgresql://elsewhere/x"}


def test_the_demonstration_ends_well(tmp_path: Path) -> None:
    """Every chapter checks what it sees; with status 0 all of them were right."""
    finished = subprocess.run(
        SMALL,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=DEMO_SECONDS_MAX,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr + finished.stdout
    for said in (
        "products.csv was interrupted on purpose",
        "adds up",
        "by earlier runs",
        "CONSENT_REVOKED",
        "PARTNER_SUSPENDED",
        "is effective everywhere",
        "what the system would have said then",
        "Настоящим отдельным документом",
        "safe_box",
    ):
        assert said in finished.stdout
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_demonstration_cleans_up(tmp_path: Path) -> None:
    """Ctrl-C stops the servers and removes every file."""
    with subprocess.Popen(
        SMALL,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        address = None
        for line in process.stdout:
            address = re.search(r"decision server at ([\d.]+):(\d+)", line)
            if address:
                break
        assert address is not None
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=DEMO_SECONDS_MAX)
    assert process.returncode != 0
    assert "interrupted" in errors
    assert "Traceback" not in errors
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect((address[1], int(address[2])))
    assert list(tmp_path.iterdir()) == []
