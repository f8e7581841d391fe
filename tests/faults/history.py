"""The history of a campaign: what was sent, answered, asked and broken, and when.

What lives here: the records, their writing while the campaign runs and their reading afterwards,
one JSON document a line. All instants are nanoseconds of one monotonic clock, that of the harness;
instants inside questions and answers are microseconds since 1970 in UTC. What follows from a
history is the judge's.
"""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

EVERYBODY: Final = "*"
"""Stands for the customer where a publication opens or closes scopes of all."""


class Change(NamedTuple):
    """Scopes of a customer that a write opens or closes in one layer.

    A scope is allowed only when no layer of it is closed: the consent itself, each restriction, a
    merge, the catalog. So lifting a restriction opens nothing that a revocation has closed.
    `from_instant` is when a closing takes hold if that is in the future, else None.
    """

    customer_id: str
    layer: str
    scopes: tuple[str, ...]
    from_instant: int | None = None


class Sent(NamedTuple):
    """A write was sent, for the first time or again."""

    write: str
    at: int
    what: str
    opens: tuple[Change, ...]
    closes: tuple[Change, ...]


class Acknowledged(NamedTuple):
    """An attempt at a write, sent at `sent_at`, was answered at `at`."""

    write: str
    sent_at: int
    at: int
    is_effective: bool


class Refused(NamedTuple):
    """An attempt at a write failed."""

    write: str
    sent_at: int
    at: int
    code: str


class Answer(NamedTuple):
    """What was said of one scope of one customer.

    `not_after` is 0 when the answer holds without end, None when the answer does not say.
    """

    customer_id: str
    scope: str
    verdict: str
    reason: str
    not_after: int | None = None


class Asked(NamedTuple):
    """A check: a call, an item of none, or one chunk of a stream.

    `code` is the status when the whole call failed, else empty. `instant` is what was asked about
    when that is in the future, else None. `token_of` names the write whose token it carried.
    """

    server: str
    call: str
    began_at: int
    ended_at: int
    code: str
    answers: tuple[Answer, ...]
    instant: int | None = None
    token_of: str = ""


class FaultBegan(NamedTuple):
    """A fault is about to be injected; `area` is what it touches."""

    fault: str
    name: str
    area: str
    at: int


class FaultEnded(NamedTuple):
    """A fault has healed; `was_injected` is False when its moment never came."""

    fault: str
    at: int
    was_injected: bool
    detail: str


class Restored(NamedTuple):
    """PostgreSQL was stopped, put back to a backup, and its epoch raised."""

    backup_began_at: int
    stopped_at: int
    raised_at: int


class Phase(NamedTuple):
    """A phase of the campaign has begun: `quiet`, `faults` or `end`."""

    name: str
    at: int


Record: TypeAlias = (
    Sent | Acknowledged | Refused | Asked | FaultBegan | FaultEnded | Restored | Phase
)

_KINDS: Final[dict[str, type]] = {
    kind.__name__: kind
    for kind in (Sent, Acknowledged, Refused, Asked, FaultBegan, FaultEnded, Restored, Phase)
}


def now() -> int:
    """Give the instant by the clock of all histories."""
    return time.monotonic_ns()


class History:
    """The history of a running campaign, in memory and in a file. Safe to be used by threads."""

    def __init__(self, path: Path) -> None:
        """Write to a new file at `path`."""
        self.path = path
        self.records: list[Record] = []
        self._lock = threading.Lock()
        self._file = path.open("w", encoding="utf-8")

    def add(self, record: Record) -> None:
        """Append a record."""
        line = as_line(record)
        with self._lock:
            self.records.append(record)
            self._file.write(line)

    def close(self) -> None:
        """Write what is left and end."""
        self._file.close()


def as_line(record: Record) -> str:
    """Write a record as a line of a file."""
    return json.dumps([type(record).__name__, *record], separators=(",", ":")) + "\n"


def read_history(path: Path) -> Iterator[Record]:
    """Read the records of a file in the order written."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield from_line(line)


def from_line(line: str) -> Record:
    """Read a record from a line of a file."""
    name, *values = json.loads(line)
    record: Record = _KINDS[name](*values)
    match record:
        case Sent():
            return record._replace(opens=_changes(record.opens), closes=_changes(record.closes))
        case Asked():
            return record._replace(answers=tuple(Answer(*answer) for answer in record.answers))
        case _:
            return record


def _changes(changes: tuple[Change, ...]) -> tuple[Change, ...]:
    return tuple(
        Change(customer_id, layer, tuple(scopes), from_instant)
        for customer_id, layer, scopes, from_instant in changes
    )
