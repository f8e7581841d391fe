"""The cached record: a permission timeline as the bytes that go to Redis.

What lives here: writing records (`writing`), reading them one by one (`reading`), for one instant
(`answering`) or to be compared (`comparing`), in the formats of `layout`. A check never asks about
the past: what has ended more than `TRIM_MARGIN_MICROSECONDS` before a record was made is left out,
and of what else has ended all but the latest. A record in PostgreSQL has epoch and incarnation 0;
the cache stamps them.
"""

from store.record.answering import decode_at
from store.record.comparing import decode_for_comparing
from store.record.layout import NARROW, WIDE
from store.record.reading import (
    Header,
    Record,
    content_of,
    decode,
    decode_header,
    read_basis,
)
from store.record.writing import TRIM_MARGIN_MICROSECONDS, encode, stamp

__all__ = [
    "NARROW",
    "TRIM_MARGIN_MICROSECONDS",
    "WIDE",
    "Header",
    "Record",
    "content_of",
    "decode",
    "decode_at",
    "decode_for_comparing",
    "decode_header",
    "encode",
    "read_basis",
    "stamp",
]
