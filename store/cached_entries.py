"""What Redis holds for customer ids, as it was read.

What lives here: values, and which part of a record counts in the life of its shard's meta. Reading
is `cache`'s.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from store.meta import Meta
from store.record import Header, decode_header


class CachedEntry(NamedTuple):
    """What Redis holds for a customer id: the shard's meta and the record, read at one instant.

    `shard` is the shard's number, of meaning only with its meta.

    A record that is missing, damaged or of another life than the meta is absent, its header too;
    `has_key` tells whether there was something at all.
    """

    shard: int
    meta: Meta | None
    has_key: bool
    header: Header | None
    record: bytes | None


NOTHING_CACHED: Final = CachedEntry(0, None, has_key=False, header=None, record=None)
"""What a Redis that was emptied holds, and what is known of one that does not answer."""


class ManyEntries(NamedTuple):
    """What Redis holds for many customer ids, in the order of their shards.

    `metas` go by shard. `shards` and `records` go together, and `places` tells the place that each
    had among the ids asked for. Records are given as they are, of whatever life or format.
    """

    metas: Sequence[Meta | None]
    shards: NDArray[np.uint8]
    places: NDArray[np.int64]
    records: Sequence[bytes | None]


def cached_entry(number: int, meta: Meta | None, record: bytes | None) -> CachedEntry:
    """Tell what of a record counts in the life of its shard's meta."""
    if meta is None:
        return NOTHING_CACHED._replace(has_key=record is not None)
    if record is None:
        return CachedEntry(number, meta, has_key=False, header=None, record=None)
    try:
        header = decode_header(record)
    except ValueError:
        return CachedEntry(number, meta, has_key=True, header=None, record=None)
    if (header.epoch, header.incarnation) != meta.life:
        return CachedEntry(number, meta, has_key=True, header=None, record=None)
    # By place, as every check comes by here: names take half as long again.
    return CachedEntry(number, meta, True, header, record)  # noqa: FBT003 - see above
