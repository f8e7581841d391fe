"""The bench, as small as can be: that it works, not how fast anything is."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from loadtests.report import LATEST, RESULTS
from loadtests.thresholds import judge, read_thresholds
from tests.waiting import until

RUN_SECONDS_MAX: Final = 900
"""A bound against hanging; by itself on two cores it takes a minute and a half."""


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(RUN_SECONDS_MAX)
def test_a_short_bench_finds_every_figure_and_leaves_the_latest_results_alone(
    tmp_path: Path,
) -> None:
    """Every key of the thresholds is measured as a positive number, and pictures are drawn."""
    kept = RESULTS / f"{LATEST}.json"
    before = kept.read_bytes() if kept.exists() else None
    completed = subprocess.run(
        [sys.executable, "-m", "loadtests", "--short", "--results", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS_MAX,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    results = json.loads((tmp_path / f"{LATEST}.json").read_text(encoding="utf-8"))
    judgements = judge(results, read_thresholds())
    not_positive = [found for found in judgements if found.value is None or found.value <= 0]
    assert not not_positive
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{LATEST}.json",
        "latency.png",
        "throughput.png",
    }
    assert (kept.read_bytes() if kept.exists() else None) == before


@pytest.mark.integration
@pytest.mark.timeout(RUN_SECONDS_MAX)
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux to see processes")
def test_a_bench_that_is_told_to_stop_takes_its_servers_along(tmp_path: Path) -> None:
    """Of what was started for it nothing is left."""
    mark = tmp_path.as_posix()
    with subprocess.Popen(
        [sys.executable, "-m", "loadtests", "--short", "--only", "check", "--results", mark],
        env={**os.environ, "STARTED_FOR": mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as bench:
        assert bench.stdout is not None
        assert any("at fixed rates" in line for line in bench.stdout)
        started = _processes_with(mark)
        bench.send_signal(signal.SIGTERM)
    until(lambda: not _processes_with(mark), "processes of a bench go on after its end")
    # The bench itself, and the servers of which it measures one against the other.
    assert len(started) > 2
    assert bench.returncode


def _processes_with(text: str) -> set[str]:
    """Give the numbers of the processes in whose environment a text stands."""
    found = set()
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if text.encode() in environment.read_bytes():
                found.add(environment.parent.name)
    return found
