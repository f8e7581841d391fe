"""Signing receipts, with keys from a file that is replaced while we run.

What lives here: the key in use and the watching of its file. What a receipt says is `claims`'.
"""

import logging
import time
from pathlib import Path
from typing import Final

import jwt

from decision.errors import ErrorCode, PreconditionError
from service.access.gate import as_told, calling
from service.access.watched_file import WatchedFile
from service.receipts.claims import Request, Response, claims_of
from service.receipts.keys import ReceiptKeyError, SigningKeys, read_signing_keys
from service.receipts.verifying import ALGORITHM, RECEIPT_TYPE
from service.settings import Settings
from store.publications import PublishedCatalog

KEYS_BYTES_MAX: Final = 1024 * 1024

_logger = logging.getLogger(__name__)


class ReceiptSigner:
    """Signs receipts. Safe to be used by several threads; `refresh` MUST be called all the time."""

    def __init__(self, path: Path) -> None:
        """Read the keys. Raises ReceiptKeyError."""
        self._file = WatchedFile(
            path, _read, (ReceiptKeyError,), "the keys used before stay in use"
        )
        self._keys = self._file.content()

    def refresh(self) -> None:
        """Take over keys that have changed; what is faulty leaves those before."""
        keys = self._file.new_content()
        if keys is None:
            return
        self._keys = keys
        _logger.info("receipts are signed by the key %s now", self._keys.key_id)

    def sign(self, request: Request, response: Response, published: PublishedCatalog) -> str:
        """Sign what the caller of this thread asked, and what of an answer they are told."""
        keys = self._keys
        claims = claims_of(
            calling(),
            request,
            as_told(response),
            published.catalog,
            published.epoch,
            int(time.time()),
        )
        return jwt.encode(
            claims,
            keys.private_key,
            algorithm=ALGORITHM,
            headers={"kid": keys.key_id, "typ": RECEIPT_TYPE},
        )


def no_receipt_key() -> PreconditionError:
    """Give what a call is refused with that asks for a receipt where there is no key."""
    message = (
        "this server signs no receipts: ask without `receipt`, or have its operator give "
        "MAYWE_RECEIPT_KEYS_FILE (docs/receipts.md)"
    )
    return PreconditionError(message, ErrorCode.NO_RECEIPT_KEY, {"field": "receipt"})


def receipt_signer_of(settings: Settings) -> ReceiptSigner | None:
    """Give what signs receipts; None without keys. Raises ReceiptKeyError."""
    if not settings.receipt_keys_file:
        return None
    return ReceiptSigner(Path(settings.receipt_keys_file))


def _read(path: Path) -> SigningKeys:
    try:
        with path.open("rb") as file:
            data = file.read(KEYS_BYTES_MAX + 1)
    except OSError as error:
        message = f"the keys of receipts in {path} can not be read: {error.strerror}"
        raise ReceiptKeyError(message) from None
    if len(data) > KEYS_BYTES_MAX:
        message = f"the keys of receipts in {path} are longer than {KEYS_BYTES_MAX} bytes"
        raise ReceiptKeyError(message)
    try:
        return read_signing_keys(data)
    except ReceiptKeyError as error:
        message = f"the keys of receipts in {path} can not be used: {error}"
        raise ReceiptKeyError(message) from None
