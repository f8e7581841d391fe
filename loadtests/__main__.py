"""The bench: `make bench`, or `python -m loadtests`.

What lives here: the command line. Everything is measured, written to `results/latest.json`, drawn,
and judged: the exit status is 1 when a figure is not what it must be. With `--only` some parts are,
and written to a file of that name.
"""

import argparse
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

from loadtests.bench import FULL, SHORT, resized
from loadtests.cores import OTHER_CORES, on_cores
from loadtests.parts import PARTS, run_parts
from loadtests.report import LATEST, RESULTS, machine, show, show_checks, write_results
from loadtests.thresholds import judge, read_thresholds


def main(arguments: list[str] | None = None) -> int:
    """Measure, report and judge."""
    parser = argparse.ArgumentParser(prog="python -m loadtests", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, metavar="PART", help=f"some of: {', '.join(PARTS)}"
    )
    parser.add_argument(
        "--set",
        dest="settings",
        nargs="+",
        default=[],
        type=_setting,
        metavar="SIZE=NUMBER",
        help=f"other sizes: {', '.join(asdict(FULL))}",
    )
    parser.add_argument(
        "--short", action="store_true", help="everything as small as can be, and nothing judged"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="the directory to write to")
    options = parser.parse_args(arguments)
    sizes = resized(SHORT if options.short else FULL, dict(options.settings))
    names = options.only or list(PARTS)
    # Ended as an interruption ends it, which takes the servers and their load along.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    found_on = machine()
    began_at = time.monotonic()
    with on_cores(OTHER_CORES):
        results = run_parts(names, sizes, _say)
    results |= {
        "is_short": options.short,
        "parts": names,
        "sizes": asdict(sizes),
        "machine": found_on,
        "seconds_taken": round(time.monotonic() - began_at),
    }
    name = "-".join(options.only) if options.only else LATEST
    path = write_results(options.results / f"{name}.json", results)
    drawn = _draw(options.results, results["details"])
    thresholds = read_thresholds()
    if options.only:
        thresholds = [threshold for threshold in thresholds if threshold.key in results]
    judgements = judge(results, thresholds)
    if "check" in results["details"]:
        show_checks(results["details"]["check"])
    show(judgements)
    _say(f"written: {', '.join(map(str, [path, *drawn]))}")
    if results["errors"]:
        return 1
    if options.short:
        return 0
    missed = [judgement.threshold.key for judgement in judgements if not judgement.is_must_met]
    if missed:
        _say(f"missed: {', '.join(missed)}")
    return 1 if missed else 0


def _setting(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    if name not in asdict(FULL):
        message = f"{name} is no size"
        raise argparse.ArgumentTypeError(message)
    return name, float(number)


def _draw(directory: Path, details: dict[str, object]) -> list[Path]:
    # Loaded only now, for it takes a second and tens of megabytes.
    from loadtests.pictures import draw  # noqa: PLC0415

    return draw(directory, details)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
