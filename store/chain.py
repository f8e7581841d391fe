"""Commitments to personal data, and the hash chains that make the ledger tamper-evident.

What lives here: how a hash is computed, nothing of where it is kept. Each shard's events form one
chain, publications another. A commitment stands in the ledger for fields that can be erased; as it
is salted, nobody can find erased values by guessing.
"""

import json
import os
from hashlib import sha256
from typing import Final

SALT_BYTES: Final = 16
GENESIS: Final = b""
"""The hash before the first link."""


def canonical_json(value: object) -> str:
    """Write JSON in the one form that is hashed: sorted keys, no spaces, no escapes."""
    return _CANONICAL.encode(value)


_CANONICAL: Final = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def new_salt() -> bytes:
    """Draw a salt for one event's commitment."""
    return os.urandom(SALT_BYTES)


def commitment(salt: bytes, personal: object) -> bytes:
    """Commit to personal fields: SHA-256 over the salt and the canonical JSON."""
    return sha256(salt + canonical_json(personal).encode()).digest()


def link(previous_hash: bytes, content: object) -> bytes:
    """Chain content to what went before: SHA-256 over the previous hash and the canonical JSON."""
    return sha256(previous_hash + canonical_json(content).encode()).digest()
