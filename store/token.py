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

_HEAD: Final = struct.Struct("<BII")
_POSITION: Final = struct.Struct("<BQ")
_CHECKSUM: Final = struct.Struct("<I")

POSITIONS_MAX: Final = 16
"""Shards that a token names one by one; a person of more merged customer ids is rare."""

EVERY_SHARD: Final = SHARD_COUNT
"""Stands for all shards at once where there would be too many to name."""

_BYTES_MAX: Final = _HEAD.size + POSITIONS_MAX * _POSITION.size + _CHECKSUM.size
CHARACTERS_MAX: Final = -(-_BYTES_MAX // 3) * 4
"""No token is longer. The contract promises at most 256 characters."""


class Token:
    """Where the shards stood that a write concerned, in one epoch of the ledger. Immutable.

    `publication` is the number of a publication that the token answered, else 0: questions that
    carry it are answered under that catalog or a later one.
    """

    __slots__ = ("epoch", "positions", "publication")

    def __init__(self, epoch: int, positions: Mapping[int, int], publication: int = 0) -> None:
        """Take the epoch and the seq of each shard concerned, by the shard's number.

        Of too many shards the highest seq stands for all: a shard that is not there yet is then
        taken for behind, and PostgreSQL is asked, which is never wrong.
        """
        self.epoch: Final = epoch
        self.publication: Final = publication
        self.positions: Final[Mapping[int, int]] = (
            dict(positions)
            if len(positions) <= POSITIONS_MAX
            else {EVERY_SHARD: max(positions.values())}
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Token):
            return NotImplemented
        return self._parts == other._parts

    def __hash__(self) -> int:
        return hash(self._parts)

    def __repr__(self) -> str:
        return f"Token({self.epoch}, {self.positions}, {self.publication})"

    @property
    def _parts(self) -> tuple[int, int, frozenset[tuple[int, int]]]:
        return self.epoch, self.publication, frozenset(self.positions.items())

    def is_reached_by(self, shard_number: int, meta: Meta) -> bool:
        """Tell whether the cached records of a shard show the write (`design.md`, step 7)."""
        seq = self.positions.get(shard_number, self.positions.get(EVERY_SHARD))
        return seq is None or (meta.life.epoch == self.epoch and meta.applied_seq >= seq)

    def encode(self) -> str:
        """Write the token as text that is safe in URLs."""
        content = _HEAD.pack(VERSION, self.epoch, self.publication) + b"".join(
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
    version, epoch, publication = _HEAD.unpack_from(content)
    if version != VERSION or _CHECKSUM.unpack(checksum) != (zlib.crc32(content),):
        return None
    positions = dict(_POSITION.iter_unpack(content[_HEAD.size :]))
    if any(number > EVERY_SHARD for number in positions):
        return None
    return Token(epoch, positions, publication)
