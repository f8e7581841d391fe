"""Being told to stop by a signal."""

import signal
import subprocess
import sys
from typing import Final

import pytest

ATTEMPTS: Final = 10
"""Of which most would hang if a handler itself set the event."""

SECONDS_MAX: Final = 60.0
"""A bound against hanging; not a performance claim."""

_WAITS: Final = """
from service.stopping import told_to_stop
stop = told_to_stop()
print("waits", flush=True)
while not stop.wait(0):
    pass
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_heeded_in_the_middle_of_a_wait(number: signal.Signals) -> None:
    """The main thread is nearly always inside of `wait`, with its lock."""
    for _ in range(ATTEMPTS):
        with subprocess.Popen(
            [sys.executable, "-c", _WAITS], stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "waits\n"
                process.send_signal(number)
                assert process.wait(SECONDS_MAX) == 0
            finally:
                process.kill()
