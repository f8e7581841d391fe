"""Pictures of a run: latency by load, and throughput in pairs.

What lives here: drawing with matplotlib what `latest.json` holds.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure

PERCENTILES: Final = ("p50", "p99", "p99_9")
STYLES: Final = {"check": "-", "echo": "--"}
SIZE_INCHES: Final = (8, 5)
DOTS_PER_INCH: Final = 120
LABELS: Final = {"check": "check", "echo": "empty call"}


def draw(directory: Path, details: Mapping[str, Any]) -> list[Path]:
    """Draw what there is figures for, and give the files."""
    found = details.get("check")
    if found is None:
        return []
    return [_draw_latency(directory, found), _draw_throughput(directory, found)]


def _draw_latency(directory: Path, found: Mapping[str, Any]) -> Path:
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    axes = figure.subplots()
    for what, style in STYLES.items():
        rows = [row for row in found["latency_by_load"] if row["what"] == what]
        for number, name in enumerate(PERCENTILES):
            axes.plot(
                [row["calls_per_second"] for row in rows],
                [row["milliseconds"][name] for row in rows],
                style,
                color=f"C{number}",
                marker="o",
                label=f"{LABELS[what]}, {name.replace('_', '.')}",
            )
    axes.set_yscale("log")
    axes.set_xlabel("calls per second, arriving at random whatever the answers do")
    axes.set_ylabel("milliseconds from when a call was due")
    axes.set_title("Latency at fixed rates, at 20, 40, 60 and 80 % of each server's peak")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    return _save(figure, directory / "latency.png")


def _draw_throughput(directory: Path, found: Mapping[str, Any]) -> Path:
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    axes = figure.subplots()
    width = 0.4
    for shift, (what, results) in enumerate(found["peaks"].items()):
        places = [number + 1 + (shift - 0.5) * width for number in range(len(results))]
        rates = [result["calls_per_second"] for result in results]
        axes.bar(places, rates, width, label=LABELS[what])
    axes.set_xlabel("pair, measured in turn on the same core")
    axes.set_ylabel("calls per second at the peak")
    ratio = found["check_vs_echo"]["median"]
    axes.set_title(f"Throughput of one server process; median of the ratios {ratio:g}")
    axes.set_xticks(range(1, len(found["peaks"]["check"]) + 1))
    axes.grid(axis="y", alpha=0.3)
    axes.legend()
    return _save(figure, directory / "throughput.png")


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=DOTS_PER_INCH)
    return path
