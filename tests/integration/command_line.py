"""Running `maywe` commands against a system under test.

Here live the runner and what a command leaves behind; what it must leave is each test's.
"""

import json
from typing import Any, Final, NamedTuple

from click.testing import CliRunner

from service.cli.main import main

_BLANK_ENVIRONMENT: Final = {
    f"MAYWE_{name}": None
    for name in (
        "ADDRESS",
        "DECISION_ADDRESS",
        "WRITER_ADDRESS",
        "TIMEOUT_SECONDS",
        "POSTGRES_URL",
        "REDIS_URL",
        "REDIS_NAMESPACE",
    )
}


class Finished(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document that it printed."""
        return json.loads(self.out)

    def columns(self, head: str) -> list[str]:
        """The first cell of each row of the table whose first head is `head`."""
        lines = self.out.splitlines()
        first = next(index for index, line in enumerate(lines) if line.split("  ")[0] == head)
        rows = []
        for line in lines[first + 1 :]:
            if not line:
                break
            rows.append(line.split("  ")[0])
        return rows


def run(*arguments: str, address: str = "", standard_input: str | None = None) -> Finished:
    """Run a command to its end, as with an environment that says nothing."""
    where = ("--address", address) if address else ()
    result = CliRunner(env=_BLANK_ENVIRONMENT).invoke(
        main, [*arguments, *where], input=standard_input
    )
    return Finished(result.exit_code, result.stdout, result.stderr)


def one_line(finished: Finished) -> str:
    """Give the one line of trouble that a command printed, without a traceback."""
    lines = finished.err.strip().splitlines()
    assert len(lines) == 1, finished
    return lines[0]
