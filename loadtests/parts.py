"""The parts of the bench, by the names by which they are run.

What lives here: the table of parts, in an order in which those that share an installation follow
each other, and the running of some of them.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from loadtests import (
    audience,
    batch,
    check,
    importing,
    journal,
    listing,
    long_history,
    memory,
    previewing,
    processes,
    revoking,
    rolling_out,
    scale,
    streaming,
    writing,
)
from loadtests.bench import Bench, Measured, Sizes
from loadtests.figures import rounded

PARTS: Final[Mapping[str, Callable[[Bench], Measured]]] = {
    "check": check.measure,
    "journal": journal.measure,
    "batch": batch.measure,
    "audience": audience.measure,
    "streaming": streaming.measure,
    "listing": listing.measure,
    "memory": memory.measure,
    "processes": processes.measure,
    "scale": scale.measure,
    "importing": importing.measure,
    "previewing": previewing.measure,
    "rolling_out": rolling_out.measure,
    "revoking": revoking.measure,
    "writing": writing.measure,
    "long_history": long_history.measure,
}


def run_parts(names: Sequence[str], sizes: Sizes, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure some parts, and give their figures, rounded, beside `details` by part.

    A part that fails, whatever with, leaves its figures out and its error in `errors`: the others
    are measured all the same.
    """
    figures: dict[str, float] = {}
    details: dict[str, Any] = {}
    errors: dict[str, str] = {}
    with Bench(sizes, say) as bench:
        for name in names:
            began_at = time.monotonic()
            try:
                measured = PARTS[name](bench)
            except Exception as error:  # noqa: BLE001 - told at the end, as a missed figure
                errors[name] = f"{type(error).__name__}: {error}"
                say(f"{name} failed: {errors[name]}")
                continue
            figures |= {key: rounded(value) for key, value in measured.figures.items()}
            seconds = round(time.monotonic() - began_at)
            details[name] = {**measured.details, "seconds_taken": seconds}
            shown = ", ".join(
                f"{key} {rounded(value):g}" for key, value in measured.figures.items()
            )
            say(f"{shown}  ({seconds} s)")
    return {**figures, "details": details, "errors": errors}
