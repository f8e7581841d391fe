"""A shard's meta in Redis: how far the shard's records are, and in which life of the cache.

What lives here: the value and its text form. The Lua scripts read and write the same text; who may
replace which meta is decided there.
"""

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

_TEXT: Final = re.compile(rb"(\d{1,10}) (\d{1,10}) (\d{1,16}) (\d{1,10}) ([01]) (\d{1,10})")

LIFE_MAX: Final = 2_000_000_000
"""No epoch or incarnation is above this, with room for the next ones in PostgreSQL's integers."""


class CacheLife(NamedTuple):
    """Which life of a shard's cache something belongs to. Lives are ordered; a later one counts.

    `epoch` is the life of the ledger, `incarnation` that of the shard's cache within it; both are
    drawn in PostgreSQL. What was written in another life proves nothing.
    """

    epoch: int
    incarnation: int


@dataclass(frozen=True, slots=True)
class Meta:
    """What is known of a shard's records as a whole.

    Every outbox row up to `applied_seq` has been applied. `publication` is the newest publication
    under which every record of the shard is right, though a record that it did not change names an
    older one; `newest_publication` is the newest recorded, as the projector knew it. With
    `is_complete` a record that is missing means a customer whom nothing names.
    """

    life: CacheLife
    applied_seq: int
    publication: int
    is_complete: bool
    newest_publication: int


def encode_meta(meta: Meta) -> bytes:
    """Write a meta as the text `epoch incarnation applied_seq publication complete newest`."""
    numbers = (
        *meta.life,
        meta.applied_seq,
        meta.publication,
        int(meta.is_complete),
        meta.newest_publication,
    )
    return " ".join(map(str, numbers)).encode()


def decode_meta(text: bytes | None) -> Meta | None:
    """Read a meta. What is absent, or no meta, is as good as lost: None."""
    match = _TEXT.fullmatch(text) if text is not None else None
    if match is None:
        return None
    epoch, incarnation, applied_seq, publication, complete, newest = map(int, match.groups())
    if epoch > LIFE_MAX or incarnation > LIFE_MAX:
        return None
    return Meta(CacheLife(epoch, incarnation), applied_seq, publication, complete == 1, newest)
