"""Which shard a customer id belongs to.

Shards spread locks and hash chains. A customer id's shard follows from the id alone and never
changes, so that a decision server finds the record and its shard's meta without asking.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

SHARD_COUNT: Final = 64
"""Shards of an installation; fixed by the first migration."""

_DIGEST_BYTES: Final = 8


def shard_of(customer_id: str) -> int:
    """Give the shard of a customer id, 0 to SHARD_COUNT - 1."""
    return blake2b(customer_id.encode(), digest_size=_DIGEST_BYTES).digest()[-1] % SHARD_COUNT


def shards_of(customer_ids: Iterable[str]) -> bytes:
    """Give the shards of many customer ids, a byte for each."""
    return bytes(
        [
            blake2b(customer_id.encode(), digest_size=_DIGEST_BYTES).digest()[-1] % SHARD_COUNT
            for customer_id in customer_ids
        ]
    )
