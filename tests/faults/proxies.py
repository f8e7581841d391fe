"""The links between the parts, as the campaign sees them: opened, broken and healed by name.

What lives here: the controlling side of the proxy process, and nothing about what flows through.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.faults import proxy_process

ENDING_SECONDS_MAX: Final = 5.0


class Links:
    """Every link of a campaign. Safe to be used by several threads."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        """Command the proxy that runs as `process`."""
        self._process = process
        self._lock = threading.Lock()
        self.names: list[str] = []

    def open(self, name: str, target_port: int) -> int:
        """Open a link to a port of loopback and give the port at which it is to be entered."""
        self.names.append(name)
        port: int = self._command(do="open", link=name, target_port=target_port)["port"]
        return port

    def point(self, name: str, target_port: int) -> None:
        """Lead a link to another port; its connections are closed."""
        self._command(do="point", link=name, target_port=target_port)

    def cut(self, name: str) -> None:
        """Close the connections of a link and refuse new ones."""
        self._set(name, is_cut=True)

    def stall(self, name: str) -> None:
        """Hold every byte back; connections stay and new ones are taken."""
        self._set(name, is_stalled=True)

    def delay(self, name: str, milliseconds: int) -> None:
        """Deliver every piece so much later, each way."""
        self._set(name, delay_milliseconds=milliseconds)

    def heal(self, name: str) -> None:
        """Carry everything at once again."""
        self._set(name)

    def _set(
        self,
        name: str,
        *,
        is_cut: bool = False,
        is_stalled: bool = False,
        delay_milliseconds: int = 0,
    ) -> None:
        self._command(
            do="set",
            link=name,
            is_cut=is_cut,
            is_stalled=is_stalled,
            delay_milliseconds=delay_milliseconds,
        )

    def _command(self, **command: Any) -> dict[str, Any]:
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None
        assert answers is not None
        with self._lock:
            requests.write(json.dumps(command).encode() + b"\n")
            requests.flush()
            line = answers.readline()
        if not line:
            message = "the proxy has ended"
            raise RuntimeError(message)
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def running_links() -> Iterator[Links]:
    """Run a proxy without links; it ends with its input, so also when this process is killed."""
    with subprocess.Popen(
        [sys.executable, "-S", str(Path(proxy_process.__file__))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Ctrl-C is for us alone: the others need their links until they have ended in order.
        start_new_session=True,
    ) as process:
        try:
            yield Links(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(ENDING_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
