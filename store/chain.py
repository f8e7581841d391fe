"""Commitments to personal data, and the hash chains that make the ledger tamper-evident.

What lives here: how a hash is computed, nothing of where it is kept. Each shard's events form one
chain, publications another. A commitment stands in the ledger for fields that can be erased; as it
is salted, nobody can find erased values by guessing.
"""

import os
from hashlib import sha256
from typing import Final

import orjson

SALT_BYTES: Final = 16
GENESIS: Final = b""
"""The hash before the first link."""


def canonical_json(value: object) -> str:
    """Write JSON in the one form that is hashed: sorted keys, no spaces, no escapes.

    `value` MUST be made of texts, integers, truth values and None, in lists and in mappings by
    text: of fractions there are several forms. Raises TypeError for half of a surrogate pair, and
    for an integer of more than 64 bits.
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def new_salts(count: int) -> list[bytes]:
    """Draw a salt for each of so many events' commitments: one costs as much as all at once."""
    drawn = os.urandom(SALT_BYTES * count)
    return [drawn[at : at + SALT_BYTES] for at in range(0, len(drawn), SALT_BYTES)]


def commitment(salt: bytes, personal_json: str) -> bytes:
    """Commit to personal fields: SHA-256 over the salt and the canonical JSON."""
    return sha256(salt + personal_json.encode()).digest()


def link(previous_hash: bytes, content_json: str) -> bytes:
    """Chain content to what went before: SHA-256 over the previous hash and the canonical JSON."""
    return sha256(previous_hash + content_json.encode()).digest()
