"""What is shown and kept of a run.

What lives here: the table, `latest.json` and what it says of the machine.
"""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from loadtests.cores import ALL_CORES, OTHER_CORES, SERVER_CORES
from loadtests.thresholds import Judgement

RESULTS: Final = Path(__file__).with_name("results")
LATEST: Final = "latest"
"""The name of the results of a whole run."""


def machine() -> dict[str, Any]:
    """Say on what the figures were measured, so that nobody compares them with another."""
    return {
        "cores": len(ALL_CORES),
        "server_cores": sorted(SERVER_CORES),
        "other_cores": sorted(OTHER_CORES),
        "processor": _processor(),
        "python": platform.python_version(),
        "load_average_at_begin": os.getloadavg()[0],
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def write_results(path: Path, results: Mapping[str, Any]) -> Path:
    """Write the results, replacing those of the run before; give the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return path


def show(judgements: Sequence[Judgement]) -> None:
    """Print the figures with what they must be and aim at."""
    table = Table("figure", "measured", "must", "aim", "judged", box=None)
    for column in table.columns[1:4]:
        column.justify = "right"
    for judgement in judgements:
        threshold = judgement.threshold
        sign = "≥" if threshold.is_higher_better else "≤"
        table.add_row(
            threshold.key,
            "missing" if judgement.value is None else f"{judgement.value:,.4g}",
            *(
                "" if bound is None else f"{sign} {bound:,g}"
                for bound in (threshold.must, threshold.aim)
            ),
            _judged(judgement),
        )
    _console().print(table)


def show_checks(found: Mapping[str, Any]) -> None:
    """Print what single checks and empty calls took, by load."""
    table = Table("load", "call", "calls/s", "p50 ms", "p99 ms", "p99.9 ms", "CPU µs", box=None)
    for column in table.columns[2:]:
        column.justify = "right"
    rows = [(f"{row['load']:.0%} of peak", row) for row in found["latency_by_load"]]
    rows += [
        ("peak", {"what": what, "milliseconds": {}, **_middle(results)})
        for what, results in found["peaks"].items()
    ]
    for name, row in rows:
        table.add_row(
            name,
            row["what"],
            f"{row['calls_per_second']:,.0f}",
            *(
                f"{row['milliseconds'][key]:,.2f}" if row["milliseconds"] else ""
                for key in ("p50", "p99", "p99_9")
            ),
            f"{row['server_cpu_microseconds_per_call']:,.0f}",
        )
    _console().print(table)


def _middle(results: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    """Give the run with the median throughput."""
    return sorted(results, key=lambda result: result["calls_per_second"])[len(results) // 2]


def _console() -> Console:
    return Console(highlight=False, width=None if os.isatty(1) else 100)


def _judged(judgement: Judgement) -> str:
    if not judgement.is_must_met:
        return "MISSED"
    if judgement.threshold.aim is None:
        return "met" if judgement.threshold.must is not None else "reported"
    if judgement.is_aim_met:
        return "aim met"
    return "met, aim missed" if judgement.threshold.must is not None else "aim missed"
