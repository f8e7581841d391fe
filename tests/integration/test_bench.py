"""The bench, as small as can be: that it works, not how fast anything is."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from loadtests.report import LATEST, RESULTS
from loadtests.thresholds import judge, read_thresholds

RUN_SECONDS_MAX: Final = 900
"""A bound against hanging; by itself on two cores it takes about a minute."""


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
