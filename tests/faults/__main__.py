"""`python -m tests.faults`: run a campaign and judge it, or judge a history again.

What lives here: the arguments, and the exit status, which is not 0 when a promise was broken or
nothing was proven.
"""

import argparse
import random
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.faults.campaign import run_campaign
from tests.faults.course import Course
from tests.faults.history import read_history
from tests.faults.judging import judge
from tests.faults.reporting import is_good, lines_of
from tests.sabotage.clauses import CLAUSES

SECONDS: Final = 60.0
SEEDS: Final = 2**32


def main() -> int:
    """Do what the arguments say and give the exit status."""
    arguments = _arguments()
    if arguments.judge is not None:
        judgement = judge(list(read_history(arguments.judge)))
        _say_all(lines_of(judgement))
        return 0 if is_good(judgement) else 1
    # As with Ctrl-C: whoever ends us wants everything ended and removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    course = Course(arguments.seconds, arguments.seed, sabotages=arguments.sabotage)
    outcome = run_campaign(course, _say)
    judgement = judge(outcome.history.records)
    if is_good(judgement) and not arguments.keep:
        shutil.rmtree(outcome.directory)
    else:
        _say(f"logs and history are kept in {outcome.directory}")
    _say_all(lines_of(judgement))
    return 0 if is_good(judgement) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="length, without the start")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(SEEDS), help="of the faults"
    )
    parser.add_argument(
        "--sabotage", default="", help=f"clauses to switch off, by commas: {', '.join(CLAUSES)}"
    )
    parser.add_argument("--keep", action="store_true", help="keep logs and history in any case")
    parser.add_argument("--judge", type=Path, metavar="FILE", help="judge this history, run none")
    return parser.parse_args()


def _say(line: str) -> None:
    print(line, flush=True)


def _say_all(lines: Iterator[str]) -> None:
    for line in lines:
        _say(line)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
