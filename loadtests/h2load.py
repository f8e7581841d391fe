"""h2load, an independent client of HTTP/2 (Debian's nghttp2-client), where it is installed.

What lives here: running it and reading what it reports. It knows nothing of gRPC's status, which
comes after the body; that is checked by the clients beside it.
"""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from loadtests.cores import OTHER_CORES, on_cores
from loadtests.http2 import prepared
from loadtests.installation import BenchError, Server
from loadtests.load import CHECK_PATH

CONNECTIONS: Final = 4
CALLS_UNDER_WAY: Final = 32
TIMEOUT_SECONDS: Final = 60.0

_RATE: Final = re.compile(r"finished in [^,]+, ([0-9.]+) req/s")
_OUTCOMES: Final = re.compile(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout")


def find_h2load() -> str | None:
    """Give the program's path; None where it is not installed."""
    return shutil.which("h2load")


def h2load_calls_per_second(
    program: str, server: Server, message: bytes, path: Path, seconds: float
) -> float:
    """Load a server with one check over and over. `path` is a file to use. Raises BenchError."""
    path.write_bytes(prepared(message))
    command = [
        program,
        *("--clients", str(CONNECTIONS)),
        *("--max-concurrent-streams", str(CALLS_UNDER_WAY // CONNECTIONS)),
        *("--duration", str(max(1, round(seconds)))),
        *("--warm-up-time", "1"),
        *("--data", str(path)),
        *("--header", "content-type: application/grpc"),
        *("--header", "te: trailers"),
        f"http://{server.address}{CHECK_PATH}",
    ]
    with on_cores(OTHER_CORES):
        completed = subprocess.run(  # noqa: S603 - the program that was found
            command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
        )
    rate = _RATE.search(completed.stdout)
    outcomes = _OUTCOMES.search(completed.stdout)
    has_failures = outcomes is None or any(map(int, outcomes.groups()[1:]))
    if completed.returncode or rate is None or has_failures:
        message_of_failure = f"h2load failed: {completed.stdout} {completed.stderr}"
        raise BenchError(message_of_failure)
    return float(rate[1])
