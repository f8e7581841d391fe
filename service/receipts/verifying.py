"""Verifying receipts offline: with the public keys, and nothing else.

What lives here: what has to hold of a receipt before a word of it is believed.
"""

from collections.abc import Mapping
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

RECEIPT_TYPE: Final = "maywe-receipt+jwt"
"""The type in the header: no other thing that is signed may pass for a receipt."""

ALGORITHM: Final = "EdDSA"
FORMAT_VERSION: Final = 1

RECEIPT_LENGTH_MAX: Final = 64 * 1024

_OPTIONS: Final[Any] = {
    # A receipt says what was; it does not run out, and the verifier's clock is no matter.
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "require": ["jti", "iat"],
}


class ReceiptError(Exception):
    """It is no receipt that any of the keys has signed. The text says why."""


def verify_receipt(text: str, keys: Mapping[str, Ed25519PublicKey]) -> Mapping[str, Any]:
    """Give what a receipt says, if one of the keys has signed it. Raises ReceiptError."""
    text = text.strip()
    if len(text) > RECEIPT_LENGTH_MAX:
        message = f"it is longer than {RECEIPT_LENGTH_MAX} characters"
        raise ReceiptError(message)
    try:
        header = jwt.get_unverified_header(text)
    except (jwt.PyJWTError, ValueError) as error:
        message = "it is no signed receipt"
        raise ReceiptError(message) from error
    if header.get("alg") != ALGORITHM or header.get("typ") != RECEIPT_TYPE or "crit" in header:
        message = f"it is signed, but no receipt: its header has to say {RECEIPT_TYPE}, {ALGORITHM}"
        raise ReceiptError(message)
    key = keys.get(header.get("kid", ""))
    if key is None:
        message = f"none of the keys has the id that it names, {header.get('kid', '')!r}"
        raise ReceiptError(message)
    try:
        claims: Mapping[str, Any] = jwt.decode(text, key, [ALGORITHM], options=_OPTIONS)
    except jwt.InvalidSignatureError as error:
        message = "it was changed since it was signed, or somebody else signed it"
        raise ReceiptError(message) from error
    except jwt.PyJWTError as error:
        message = "it is no receipt that can be read"
        raise ReceiptError(message) from error
    version = claims.get("version")
    # By its type too: true equals 1 in Python.
    if type(version) is not int or version != FORMAT_VERSION:
        message = "it is of a version that is not known here"
        raise ReceiptError(message)
    return claims
