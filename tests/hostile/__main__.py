"""`python -m tests.hostile`: attack a server and the readers for as long as there is time.

What lives here: the campaign of `make fuzz`. Everything that is found is shown with the seed under
which it comes again, and the campaign goes on; the exit status is 1 if anything was found.
"""

import argparse
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.hostile.attacking import attack
from tests.hostile.judging import judge_log
from tests.hostile.reading import READERS
from tests.hostile.target import Target, running_target
from tests.servers import migrated_template, servers_under_test

SECONDS: Final = 300.0
SEEDS: Final = 2**32
CALLS_PER_ROUND: Final = 400
TEXTS_PER_ROUND: Final = 50
"""Of each reader; most of them are soon read."""

MEMORY_BYTES_MAX: Final = 600 * 1024 * 1024
"""A server that has answered all of it may have had so much; one that idles has a quarter."""

Example = Callable[[st.DataObject], None]


def main() -> int:
    """Attack, say what was found, and give the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="length, without the start")
    parser.add_argument(
        "--seed",
        type=int,
        default=random.SystemRandom().randrange(SEEDS),
        help="of the first round",
    )
    arguments = parser.parse_args()
    with (
        servers_under_test() as urls,
        migrated_template(urls.postgres) as template,
        tempfile.TemporaryDirectory(prefix="maywe-fuzz-") as name,
    ):
        # Apart: what readers are given is no file of the server's.
        served, read = Path(name, "served"), Path(name, "read")
        served.mkdir()
        read.mkdir()
        found: list[str] = []
        tried: Counter[str] = Counter()
        ends_at = time.monotonic() + arguments.seconds
        number = arguments.seed
        while time.monotonic() < ends_at:
            # Anew from time to time, so that what was found before does not stand in the way.
            with running_target(
                urls,
                template,
                served,
                "--caller-calls-per-second=0",
                "--caller-streams=0",
            ) as target:
                peak_before = target.memory_peak_bytes
                clean = True
                while clean and time.monotonic() < ends_at:
                    number += 1
                    clean = _round(target, read, number, found, tried)
                print(
                    f"seed {number}: {sum(tried.values())} examples, {len(found)} findings, "
                    f"memory {peak_before >> 20} -> {target.memory_peak_bytes >> 20} MiB",
                    flush=True,
                )
        print(f"tried: {dict(tried)}")
        for text in found:
            print(text)
    return 1 if found else 0


def _round(
    target: Target, directory: Path, number: int, found: list[str], tried: Counter[str]
) -> bool:
    """Try some examples of everything; tell whether the server is none the worse for it."""
    examples: dict[str, Example] = {"server": lambda data: attack(target, data)}
    for reader in READERS:
        examples[reader.name] = _reading(reader, directory)
    is_clean = True
    for name, example in examples.items():
        count = CALLS_PER_ROUND if name == "server" else TEXTS_PER_ROUND
        try:
            _try(example, number, count)
        except Exception:  # noqa: BLE001 - whatever is found is shown
            found.append(f"--- {name}, --seed={number - 1}\n{traceback.format_exc()}")
            print(found[-1], flush=True)
            is_clean = is_clean and name != "server"
        tried[name] += count
    try:
        target.assert_serves()
        judge_log(target.log)
        assert target.memory_peak_bytes < MEMORY_BYTES_MAX, target.memory_peak_bytes
    except AssertionError:
        found.append(f"--- the server after seed {number}\n{traceback.format_exc()}")
        print(found[-1], flush=True)
        is_clean = False
    return is_clean


def _reading(reader: Any, directory: Path) -> Example:
    return lambda data: reader.check(data.draw(reader.inputs), directory)


def _try(example: Example, number: int, count: int) -> None:
    @seed(number)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def examine(data: st.DataObject) -> None:
        example(data)

    examine()


if __name__ == "__main__":
    sys.exit(main())
