"""What a history says of its writes: which scope must be closed, which must be open, for a check.

What lives here: the order of the writes of each scope's layers and what their acknowledgements are
worth. What a check was answered is `judging`'s.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tests.faults.history import EVERYBODY, Acknowledged, Asked, Change, Restored, Sent

SHOWS_NANOSECONDS: Final = 1_000_000_000
"""So long after its answer a grant has to show, in calm; at once only to who carries its token.

EFFECTIVE says nothing of a grant: it means that nobody is allowed what was allowed before.
"""


@dataclass(slots=True)
class Write:
    """A write with every answer that it got."""

    sent: Sent
    acknowledged: list[Acknowledged] = field(default_factory=list)


class Stroke(NamedTuple):
    """What one write does to one scope in one layer."""

    write: Write
    is_opening: bool
    from_instant: int | None


class Closed(NamedTuple):
    """A closing that has to be heeded, and the acknowledgement that says so."""

    write: Write
    from_instant: int | None
    acknowledged_at: int


_Key = tuple[str, str, str]


class Writes:
    """The writes of a history, in the order in which they were first sent.

    Every layer of a scope is written by one client, which sends the next write only when the last
    one was answered; so the order sent is the order in which they happened.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self.by_id: dict[str, Write] = {}
        self._strokes: dict[_Key, list[Stroke]] = {}
        self._layers: dict[tuple[str, str], list[_Key]] = {}
        self._restores: list[Restored] = []

    def add_sent(self, sent: Sent) -> None:
        """Take note of a write; one sent again is the same."""
        if sent.write in self.by_id:
            return
        write = self.by_id[sent.write] = Write(sent)
        for changes, is_opening in ((sent.closes, False), (sent.opens, True)):
            for change in changes:
                self._add_strokes(write, change, is_opening=is_opening)

    def add_acknowledged(self, acknowledged: Acknowledged) -> None:
        """Take note of an answer."""
        self.by_id[acknowledged.write].acknowledged.append(acknowledged)

    def add_restored(self, restored: Restored) -> None:
        """Take note that what was answered after a backup began is lost."""
        self._restores.append(restored)

    def closings(self, customer_id: str, scope: str, check: Asked) -> Iterator[Closed]:
        """Give every closing of a scope that a check must heed."""
        for key in self._keys(customer_id, scope):
            for stroke in self._before(key, check):
                if stroke.is_opening:
                    break
                acknowledged_at = self._told_at(stroke.write, check)
                if acknowledged_at is not None:
                    yield Closed(stroke.write, stroke.from_instant, acknowledged_at)

    def is_surely_open(self, customer_id: str, scope: str, check: Asked) -> bool:
        """Tell whether a scope must be allowed: opened, told so, and nothing closing sent since."""
        is_opened = False
        for key in self._keys(customer_id, scope):
            last = next(self._before(key, check), None)
            if last is None:
                continue
            if not last.is_opening or not self._must_show(last.write, check):
                return False
            is_opened = is_opened or key[0] == customer_id
        return is_opened

    def _keys(self, customer_id: str, scope: str) -> Sequence[_Key]:
        return (
            *self._layers.get((customer_id, scope), ()),
            *self._layers.get((EVERYBODY, scope), ()),
        )

    def _before(self, key: _Key, check: Asked) -> Iterator[Stroke]:
        """Give what was sent before a check ended, the latest first."""
        strokes = self._strokes[key]
        end = bisect_left(strokes, check.ended_at, key=lambda stroke: stroke.write.sent.at)
        return reversed(strokes[:end])

    def _told_at(self, write: Write, check: Asked) -> int | None:
        """Give when a write was answered EFFECTIVE before a check began, or its token was."""
        for acknowledged in self._worth(write, check):
            is_told = acknowledged.is_effective or self._is_covered_by_token(write, check)
            if is_told and acknowledged.at <= check.began_at:
                return acknowledged.at
        return None

    def _must_show(self, write: Write, check: Asked) -> bool:
        for acknowledged in self._worth(write, check):
            is_at_once = self._is_covered_by_token(write, check)
            if acknowledged.at + (0 if is_at_once else SHOWS_NANOSECONDS) <= check.began_at:
                return True
        return False

    def _is_covered_by_token(self, write: Write, check: Asked) -> bool:
        return bool(check.token_of) and check.token_of == write.sent.write

    def _worth(self, write: Write, check: Asked) -> Iterator[Acknowledged]:
        """Give the acknowledgements that no restore had made void by the end of a check."""
        for acknowledged in write.acknowledged:
            if not any(
                restored.stopped_at < check.ended_at
                and is_void_by(acknowledged.sent_at, acknowledged.at, restored)
                for restored in self._restores
            ):
                yield acknowledged

    def _add_strokes(self, write: Write, change: Change, *, is_opening: bool) -> None:
        for scope in change.scopes:
            key = (change.customer_id, change.layer, scope)
            if key not in self._strokes:
                self._strokes[key] = []
                self._layers.setdefault((change.customer_id, scope), []).append(key)
            self._strokes[key].append(Stroke(write, is_opening, change.from_instant))


def is_void_by(sent_at: int, at: int, restored: Restored) -> bool:
    """Tell whether a restore may have lost a write that was sent and answered at these instants."""
    return at > restored.backup_began_at and sent_at < restored.raised_at
