"""Walking the chain of publications, up to where it is kept that it ends."""

from collections.abc import Sequence
from typing import Any, Final

import orjson

from decision.instants import Instant
from store import chain
from store.verifying.heads import Head
from store.verifying.values import Fault

_NUMBERS: Final = "SELECT number FROM publication ORDER BY number"
_PUBLICATION: Final = """
SELECT publication_id, document, content::text, publisher, comment, recorded_at, narrowed_at,
    previous_hash, hash
FROM publication WHERE number = %s
"""
_END: Final = "SELECT count, hash FROM publication_end"

_COLUMNS: Final = ("publication_id", "document", "content", "publisher", "comment", "recorded_at")


class WalkedPublications:
    """What was found in the chain of publications. It ends with a fault, where there is one."""

    def __init__(self) -> None:
        """Begin before the first."""
        self.head = Head()
        self.heads: dict[Instant, Head] = {}
        self.fault: Fault | None = None
        self._last_recorded_at: Instant | None = None

    def take(self, number: int, row: Sequence[Any], instants: Sequence[Instant]) -> None:
        """Verify the next publication."""
        publication_id, recorded_at, narrowed_at = row[0], row[5], row[6]
        previous_hash, stored_hash = bytes(row[7]), bytes(row[8])
        problem = ""
        if number != self.head.length + 1:
            problem = f"publication {self.head.length + 1} is missing before it"
        elif previous_hash != self.head.hash:
            problem = "it does not follow the publication before"
        elif stored_hash != _hash_of(number, row, narrowed_at, previous_hash):
            problem = "it is not what was recorded: its hash is another"
        elif self._last_recorded_at is not None and recorded_at <= self._last_recorded_at:
            problem = "it was not recorded after the publication before"
        if problem:
            self.fault = Fault(problem, event_id=publication_id, publication=number)
            return
        self.head = Head(number, stored_hash)
        self._last_recorded_at = recorded_at
        for instant in instants:
            if recorded_at <= instant:
                self.heads[instant] = self.head


def _hash_of(
    number: int, row: Sequence[Any], narrowed_at: Instant | None, previous_hash: bytes
) -> bytes:
    try:
        content: dict[str, object] = dict(zip(_COLUMNS, row, strict=False))
        content |= {"number": number, "content": orjson.loads(row[2])}
        if narrowed_at is not None:
            # Publications of before there was that have none.
            content["narrowed_at"] = narrowed_at
        return chain.link(previous_hash, chain.canonical_json(content))
    except (orjson.JSONEncodeError, orjson.JSONDecodeError):
        return b""


def walk_publications(driver: Any, instants: Sequence[Instant]) -> WalkedPublications:  # noqa: ANN401 - the driver's connection
    """Verify every publication; one at a time, as one may have megabytes."""
    walked = WalkedPublications()
    for (number,) in driver.execute(_NUMBERS).fetchall():
        [row] = driver.execute(_PUBLICATION, (number,)).fetchall()
        walked.take(number, row, instants)
        if walked.fault is not None:
            return walked
    count, last_hash = next(iter(driver.execute(_END).fetchall()), (-1, b""))
    if walked.head != (count, bytes(last_hash)):
        number = max(0, min(count, walked.head.length)) + 1
        problem = (
            "the newest publications are missing"
            if count > walked.head.length
            else "the chain of publications does not end where it should"
        )
        walked.fault = Fault(problem, publication=number)
    return walked
