"""Opaque cursors: where a list, a page or a stream goes on.

What lives here: their one text form. A cursor carries a few numbers, what it is a cursor of, and a
digest of the question, so that it is not taken for another one's. What the numbers mean is the
business of whoever made it; what is in a cursor may change with its kind.
"""

import base64
import binascii
import struct
import zlib
from collections.abc import Sequence
from enum import Enum
from hashlib import blake2b
from typing import Final

from decision.errors import FieldFault, InvalidArgumentError
from store.chain import canonical_json

_HEAD: Final = struct.Struct("<B8s")
_NUMBER: Final = struct.Struct("<q")
_CHECKSUM: Final = struct.Struct("<I")
NUMBERS_MAX: Final = 128
"""Numbers that a cursor carries at the most."""

CHARACTERS_MAX: Final = -(-(_HEAD.size + NUMBERS_MAX * _NUMBER.size + _CHECKSUM.size) // 3) * 4
"""No cursor is longer."""


class CursorKind(Enum):
    """What a cursor belongs to. A number whose numbers change their meaning is not used again."""

    EVENTS = 1
    UNMATCHED = 2
    ALLOWED = 3
    CHANGES = 4
    PUBLICATIONS = 5


def encode_cursor(kind: CursorKind, question: object, numbers: Sequence[int]) -> str:
    """Write a cursor as text that is safe in URLs. `question` is anything that JSON can hold."""
    content = _HEAD.pack(kind.value, _digest(question)) + b"".join(map(_NUMBER.pack, numbers))
    whole = content + _CHECKSUM.pack(zlib.crc32(content))
    return base64.urlsafe_b64encode(whole).rstrip(b"=").decode()


def decode_cursor(
    field: str, kind: CursorKind, question: object, text: str, count: int
) -> tuple[int, ...]:
    """Read the `count` numbers of a cursor.

    Raises InvalidArgumentError naming `field` when it is none of ours or of another question.
    """
    content = _checked_content(text)
    if content is None or len(content) != _HEAD.size + count * _NUMBER.size:
        raise InvalidArgumentError(
            FieldFault(field, "not one of this call: send one exactly as it was answered")
        )
    found_kind, digest = _HEAD.unpack_from(content)
    if (found_kind, digest) != (kind.value, _digest(question)):
        raise InvalidArgumentError(
            FieldFault(field, "belongs to another question: ask the same, or leave it out")
        )
    return tuple(number for (number,) in _NUMBER.iter_unpack(content[_HEAD.size :]))


def _digest(question: object) -> bytes:
    return blake2b(canonical_json(question).encode(), digest_size=8).digest()


def _checked_content(text: str) -> bytes | None:
    if len(text) > CHARACTERS_MAX or not text.isascii():
        return None
    try:
        whole = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return None
    content, checksum = whole[: -_CHECKSUM.size], whole[-_CHECKSUM.size :]
    if len(content) < _HEAD.size or _CHECKSUM.pack(zlib.crc32(content)) != checksum:
        return None
    return content
