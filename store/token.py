"""The token that a write answers with, for checks that must see at least that write.

What lives here: the token's meaning and its opaque text. Callers hand it back as they got it; what
is in it may change with its version.
"""

import base64
import binascii
import struct
import zlib
from collections.abc import Mapping
from typing import Final

from decision.errors import FieldFault, InvalidArgumentError
from store.meta import Meta
from store.sharding import SHARD_COUNT

VERSION: Final = 1

_HEAD: Final = struct.Struct("<BI")
_POSITION: Final = struct.Struct("<HQ")
_CHECKSUM: Final = struct.Struct("<I")
_BYTES_MAX: Final = _HEAD.size + SHARD_COUNT * _POSITION.size + _CHECKSUM.size
CHARACTERS_MAX: Final = -(-_BYTES_MAX // 3) * 4
"""No token is longer."""


class Token:
    """Where the shards stood that a write concerned, in one epoch of the ledger. Immutable."""

    __slots__ = ("epoch", "positions")

    def __init__(self, epoch: int, positions: Mapping[int, int]) -> None:
        """Take the epoch and the seq of each shard concerned, by the shard's number."""
        self.epoch: Final = epoch
        self.positions: Final[Mapping[int, int]] = dict(positions)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Token):
            return NotImplemented
        return (self.epoch, self.positions) == (other.epoch, other.positions)

    def __hash__(self) -> int:
        return hash((self.epoch, frozenset(self.positions.items())))

    def __repr__(self) -> str:
        return f"Token({self.epoch}, {self.positions})"

    def is_reached_by(self, shard_number: int, meta: Meta) -> bool:
        """Tell whether the cached records of a shard show the write (`design.md`, step 7)."""
        seq = self.positions.get(shard_number)
        return seq is None or (meta.life.epoch == self.epoch and meta.applied_seq >= seq)

    def encode(self) -> str:
        """Write the token as text that is safe in URLs."""
        content = _HEAD.pack(VERSION, self.epoch) + b"".join(
            _POSITION.pack(number, seq) for number, seq in sorted(self.positions.items())
        )
        whole = content + _CHECKSUM.pack(zlib.crc32(content))
        return base64.urlsafe_b64encode(whole).rstrip(b"=").decode()


def decode_token(text: str) -> Token:
    """Read a token. Raises InvalidArgumentError naming `token` when it is none of ours."""
    token = _decode(text)
    if token is None or token.encode() != text:
        raise InvalidArgumentError(
            FieldFault("token", "not a token of this system: send one as a write answered it")
        )
    return token


def _decode(text: str) -> Token | None:
    if len(text) > CHARACTERS_MAX or not text.isascii():
        return None
    try:
        whole = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return None
    content, checksum = whole[: -_CHECKSUM.size], whole[-_CHECKSUM.size :]
    positions_bytes = len(content) - _HEAD.size
    if positions_bytes < 0 or positions_bytes % _POSITION.size:
        return None
    version, epoch = _HEAD.unpack_from(content)
    if version != VERSION or _CHECKSUM.unpack(checksum) != (zlib.crc32(content),):
        return None
    positions = dict(_POSITION.iter_unpack(content[_HEAD.size :]))
    return Token(epoch, positions) if all(number < SHARD_COUNT for number in positions) else None
