"""The table of metrics in docs/monitoring.md, written from the code.

What lives here: `python -m service.metrics.document` writes it; with `--check` it only compares.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from service.metrics.metric import Across, Kind, Metric
from service.metrics.table import METRICS

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "monitoring.md"
_BEGINNING: Final = "<!-- The table below is written by `make metrics-table`. -->\n"
_END: Final = "<!-- The table above is written by `make metrics-table`. -->\n"

VALUES_SHOWN_MAX: Final = 15
"""A label of more values is told without them."""

_SERVERS: Final = ("decision", "writer", "worker")


def table_text() -> str:
    """Write the table as it stands in the document."""
    return "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    yield "| metric | kind | labels | servers | what it says |"
    yield "|---|---|---|---|---|"
    for metric in METRICS:
        servers = ", ".join(name for name in _SERVERS if name in metric.servers)
        yield (
            f"| `{metric.name}` | {_kind(metric)} | {_labels(metric)} | "
            f"{'all' if len(metric.servers) == len(_SERVERS) else servers} | {metric.help} |"
        )


def _kind(metric: Metric) -> str:
    """Say what kind a metric is of, and what a gauge tells of several processes."""
    if metric.kind is not Kind.GAUGE or metric.across is Across.SUM:
        return metric.kind.value
    return f"{metric.kind.value}, {metric.across.value}"


def _labels(metric: Metric) -> str:
    return "; ".join(
        f"`{label.name}`: {', '.join(f'`{value}`' for value in label.values)}"
        if len(label.values) <= VALUES_SHOWN_MAX and label.name != "method"
        else f"`{label.name}`"
        for label in metric.labels
    )


def with_table(text: str) -> str:
    """Give the document with the table as the code has it."""
    before, _, rest = text.partition(_BEGINNING)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGINNING}\n{table_text()}\n{_END}{after}"


def main() -> None:
    """Write the table into the document, or compare."""
    text = DOCUMENT.read_text(encoding="utf-8")
    if "--check" not in sys.argv[1:]:
        DOCUMENT.write_text(with_table(text), encoding="utf-8")
    elif with_table(text) != text:
        sys.exit("docs/monitoring.md is not what the code says: run `make metrics-table`")


if __name__ == "__main__":
    main()
