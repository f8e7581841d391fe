"""Keys of receipts: Ed25519 keys in PEM files, and the set of public ones that others are given.

What lives here: reading keys, and naming each by its thumbprint (RFC 7638), so that a key has the
same name wherever it is kept. Nothing secret is in any error text.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEYS_MAX: Final = 100

_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_HOW_TO: Final = "make one with `openssl genpkey -algorithm ed25519`"


class ReceiptKeyError(Exception):
    """The keys of receipts can not be used. The text says why, and nothing of what is secret."""


class SigningKeys(NamedTuple):
    """The key that signs, its id, and the public keys of all that sign, have signed or will."""

    key_id: str
    private_key: Ed25519PrivateKey
    public_keys: Mapping[str, Ed25519PublicKey]


def read_signing_keys(data: bytes) -> SigningKeys:
    """Read the keys of a server: the first one signs, and has to be private.

    Raises ReceiptKeyError.
    """
    keys = _read_pem(data)
    first = keys[0]
    if not isinstance(first, Ed25519PrivateKey):
        message = "the first key is a public one: it can not sign"
        raise ReceiptKeyError(message)
    return SigningKeys(key_id_of(first.public_key()), first, _by_id(keys))


def read_public_keys(data: bytes) -> Mapping[str, Ed25519PublicKey]:
    """Read the public keys of a JSON Web Key Set, or of PEM. Raises ReceiptKeyError."""
    return _read_key_set(data) if data.lstrip().startswith(b"{") else _by_id(_read_pem(data))


def _by_id(
    keys: Iterable[Ed25519PrivateKey | Ed25519PublicKey],
) -> dict[str, Ed25519PublicKey]:
    public = [key.public_key() if isinstance(key, Ed25519PrivateKey) else key for key in keys]
    return {key_id_of(key): key for key in public}


def _read_pem(data: bytes) -> Sequence[Ed25519PrivateKey | Ed25519PublicKey]:
    blocks = [(match[1], match[0]) for match in _BLOCK.finditer(data)]
    if not blocks:
        message = f"there is no key in PEM: {_HOW_TO}"
        raise ReceiptKeyError(message)
    if len(blocks) > KEYS_MAX:
        message = f"there are more than {KEYS_MAX} keys"
        raise ReceiptKeyError(message)
    keys = []
    for number, (kind, block) in enumerate(blocks, start=1):
        is_private = kind.endswith(b"PRIVATE KEY")
        try:
            key = (
                serialization.load_pem_private_key(block, password=None)
                if is_private
                else serialization.load_pem_public_key(block)
            )
        except (ValueError, TypeError, UnsupportedAlgorithm):
            # Not `from`: what is secret stays out of any text.
            message = f"key {number} can not be read: it has to be plain PEM; {_HOW_TO}"
            raise ReceiptKeyError(message) from None
        if not isinstance(key, Ed25519PrivateKey | Ed25519PublicKey):
            message = f"key {number} is no Ed25519 key: {_HOW_TO}"
            raise ReceiptKeyError(message)
        keys.append(key)
    return keys


def _read_key_set(data: bytes) -> dict[str, Ed25519PublicKey]:
    """Read a set of keys, leaving out those of other kinds. Each is known by its own thumbprint."""
    try:
        entries = json.loads(data)["keys"]
        keys = [
            Ed25519PublicKey.from_public_bytes(_from_base64url(entry["x"]))
            for entry in entries[:KEYS_MAX]
            if entry.get("kty") == "OKP" and entry.get("crv") == "Ed25519"
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        message = "it is no JSON Web Key Set that can be read"
        raise ReceiptKeyError(message) from error
    if not keys:
        message = "there is no Ed25519 key in the set"
        raise ReceiptKeyError(message)
    return _by_id(keys)


def key_set_of(keys: Mapping[str, Ed25519PublicKey]) -> dict[str, Any]:
    """Write public keys as a JSON Web Key Set (RFC 7517, RFC 8037)."""
    return {
        "keys": [
            {**_public_members(key), "kid": key_id, "use": "sig", "alg": "EdDSA"}
            for key_id, key in keys.items()
        ]
    }


def key_id_of(key: Ed25519PublicKey) -> str:
    """Give a key's thumbprint (RFC 7638): SHA-256 over its members in the one form."""
    members = json.dumps(_public_members(key), sort_keys=True, separators=(",", ":"))
    return _to_base64url(hashlib.sha256(members.encode()).digest())


def _public_members(key: Ed25519PublicKey) -> dict[str, str]:
    return {"crv": "Ed25519", "kty": "OKP", "x": _to_base64url(key.public_bytes_raw())}


def _to_base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _from_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
