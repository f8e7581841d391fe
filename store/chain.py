"""Commitments to personal data, and the hash chains that make the ledger tamper-evident.

What lives here: how a hash is computed, nothing of where it is kept. Each shard's events form one
chain, publications another. A commitment stands in the ledger for fields that can be erased; as it
is salted, nobody can find erased values by guessing.
"""

import json
import os
from hashlib import sha256
from json.encoder import encode_basestring
from typing import Final

SALT_BYTES: Final = 16
GENESIS: Final = b""
"""The hash before the first link."""


def canonical_json(value: object) -> str:
    """Write JSON in the one form that is hashed: sorted keys, no spaces, no escapes."""
    return _CANONICAL.encode(value)


_CANONICAL: Final = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def canonical_text(text: str) -> str:
    """Write a text as `canonical_json` does."""
    return encode_basestring(text)


def new_salt() -> bytes:
    """Draw a salt for one event's commitment."""
    return os.urandom(SALT_BYTES)


def commitment(salt: bytes, personal_json: str) -> bytes:
    """Commit to personal fields: SHA-256 over the salt and the canonical JSON."""
    return sha256(salt + personal_json.encode()).digest()


def link(previous_hash: bytes, content_json: str) -> bytes:
    """Chain content to what went before: SHA-256 over the previous hash and the canonical JSON."""
    return sha256(previous_hash + content_json.encode()).digest()
