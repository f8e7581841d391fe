"""Waiting until a publication is rolled out.

What lives here: the polling, its limit, and the line that shows how far it is.
"""

import sys
import time
from typing import Final

from maywe.v1 import catalog_pb2
from maywe.v1.catalog_pb2 import GetPublicationRequest, Rollout
from rich.console import Console
from rich.status import Status

from service.cli.exits import Exit, trouble
from service.cli.output import hint, number
from service.client import Client, answers_from

POLL_SECONDS: Final = 0.25
PLAIN_LINE_SECONDS: Final = 5.0
"""Where the standard error is no terminal, a line of progress comes so often."""


def wait_until_effective(client: Client, publication_number: int, wait_seconds: float) -> Rollout:
    """Wait until every customer's permissions follow a publication.

    Ends the command when it is superseded, or not effective in time.
    """
    deadline = time.monotonic() + wait_seconds
    rate = _Rate()
    console = Console(file=sys.stderr, highlight=False, markup=False)
    line_due = time.monotonic() + PLAIN_LINE_SECONDS
    with Status("rolling out", console=console) as status:
        while True:
            rollout = _rollout(client, publication_number)
            if rollout.state == catalog_pb2.ROLLOUT_STATE_EFFECTIVE:
                return rollout
            if rollout.state == catalog_pb2.ROLLOUT_STATE_SUPERSEDED:
                raise trouble(
                    f"publication {publication_number} was superseded by a newer one: "
                    "`maywe catalog log` lists them",
                    Exit.NO,
                )
            text = _progress(rollout, rate)
            if time.monotonic() >= deadline:
                raise trouble(
                    f"publication {publication_number} is recorded, but not effective after "
                    f"{wait_seconds:g} seconds ({text}): is a writer running?",
                    Exit.NOT_KNOWN,
                )
            status.update(text)
            if not console.is_terminal and time.monotonic() >= line_due:
                hint(text)
                line_due += PLAIN_LINE_SECONDS
            time.sleep(POLL_SECONDS)


def _rollout(client: Client, publication_number: int) -> Rollout:
    with answers_from(client.writer_address):
        request = GetPublicationRequest(number=publication_number)
        return client.catalog.GetPublication(request).rollout


class _Rate:
    """How many customers are done in a second, since this command first looked."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None

    def at(self, done: int) -> str:
        """Say the rate; nothing at the first look, which tells none."""
        now = time.monotonic()
        if self._first is None:
            self._first = (now, done)
            return ""
        began_at, done_before = self._first
        return f", {number(int((done - done_before) / max(now - began_at, POLL_SECONDS)))}/s"


def _progress(rollout: Rollout, rate: _Rate) -> str:
    return (
        f"rolling out: {number(rollout.customers_done_count)} of "
        f"{number(rollout.customers_count)} customers, {number(rollout.customers_changed_count)} "
        f"changed{rate.at(rollout.customers_done_count)}"
    )
