"""The heads of all chains as they were at an instant, and the short digest that stands for them.

What lives here: who has noted a digest down can tell later whether the chains still begin with what
they held then, even if all of a chain was written anew. The instant is part of it, so that nothing
else has to be kept.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, NamedTuple

from decision.errors import FieldFault, InvalidArgumentError
from decision.instants import Instant, format_instant, parse_instant
from store.chain import GENESIS
from store.sharding import SHARD_COUNT

_TEXT: Final = re.compile(r"([^/\s]+)/([0-9a-f]{64})")


class Head(NamedTuple):
    """Where a chain ends: how many links it has, and the hash of the last."""

    length: int = 0
    hash: bytes = GENESIS


@dataclass(frozen=True, slots=True)
class Heads:
    """Where all chains ended at an instant: of the shards by number, and of the publications."""

    shards: Sequence[Head]
    publications: Head


@dataclass(frozen=True, slots=True)
class HeadsDigest:
    """The heads at an instant as one hash; its text is `INSTANT/HASH`."""

    instant: Instant
    hash: bytes

    def __str__(self) -> str:
        return f"{format_instant(self.instant)}/{self.hash.hex()}"


def read_digest(text: str) -> HeadsDigest:
    """Read the text of a digest. Raises InvalidArgumentError."""
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise InvalidArgumentError(FieldFault("digest", "is not INSTANT/HASH, as it was printed"))
    try:
        instant = parse_instant(match[1])
    except ValueError as error:
        raise InvalidArgumentError(FieldFault("digest", f"has no instant: {error}")) from error
    return HeadsDigest(instant, bytes.fromhex(match[2]))


def digest_of(instant: Instant, heads: Heads) -> HeadsDigest:
    """Give the digest of the heads as they were at an instant."""
    lines = [
        f"shard {number} {head.length} {head.hash.hex()}"
        for number, head in enumerate(heads.shards)
    ]
    lines.append(f"publications {heads.publications.length} {heads.publications.hash.hex()}")
    return HeadsDigest(instant, sha256("\n".join([str(instant), *lines]).encode()).digest())


_LAST_OF_SHARDS: Final = """
SELECT numbers.number, last.position + 1, last.hash
FROM generate_series(0, %(last)s) AS numbers (number)
CROSS JOIN LATERAL (
    SELECT position, hash FROM event
    WHERE shard = numbers.number AND recorded_at <= %(instant)s
    ORDER BY position DESC LIMIT 1
) AS last
"""

_LAST_PUBLICATION: Final = """
SELECT number, hash FROM publication WHERE recorded_at <= %(instant)s
ORDER BY number DESC LIMIT 1
"""


def read_heads(driver: Any, instant: Instant) -> Heads:  # noqa: ANN401 - the driver's connection
    """Read where the chains ended at an instant, taking what is stored for what was recorded."""
    found: Mapping[int, Head] = {
        number: Head(length, bytes(last_hash))
        for number, length, last_hash in driver.execute(
            _LAST_OF_SHARDS, {"last": SHARD_COUNT - 1, "instant": instant}
        )
    }
    publications = Head()
    for number, last_hash in driver.execute(_LAST_PUBLICATION, {"instant": instant}):
        publications = Head(number, bytes(last_hash))
    return Heads([found.get(number, Head()) for number in range(SHARD_COUNT)], publications)
