"""Verifying the ledger: whether all that is stored is what was recorded.

What lives here: walking the hash chains and what has to follow from them, over one snapshot and in
bounded memory. Whether states follow from the events is the reconciler's to find out.
"""

from store.verifying.heads import HeadsDigest, read_digest
from store.verifying.values import Fault, Verification, VerifyingProgress
from store.verifying.whole import verify

__all__ = [
    "Fault",
    "HeadsDigest",
    "Verification",
    "VerifyingProgress",
    "read_digest",
    "verify",
]
