"""Which shard a customer id belongs to.

Shards spread locks and hash chains. A customer id's shard follows from the id alone and never
changes, so that a decision server finds the record and its shard's meta without asking.
"""

from collections.abc import Iterable
from functools import partial
from hashlib import blake2b
from typing import Final

import numpy as np
from numpy.typing import NDArray

SHARD_COUNT: Final = 64
"""Shards of an installation; fixed by the first migration."""

_DIGEST_BYTES: Final = 8


def shard_of(customer_id: str) -> int:
    """Give the shard of a customer id, 0 to SHARD_COUNT - 1."""
    return blake2b(customer_id.encode(), digest_size=_DIGEST_BYTES).digest()[-1] % SHARD_COUNT


def shards_of(customer_ids: Iterable[str]) -> NDArray[np.uint8]:
    """Give the shards of many customer ids."""
    digests = b"".join(map(_digest_of, map(_hash_of, map(str.encode, customer_ids))))
    return np.frombuffer(digests, np.uint8)[_DIGEST_BYTES - 1 :: _DIGEST_BYTES] % SHARD_COUNT


_hash_of: Final = partial(blake2b, digest_size=_DIGEST_BYTES)
_digest_of: Final = blake2b.digest
