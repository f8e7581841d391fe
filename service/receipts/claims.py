"""What a receipt says: the same as the answer that it comes with.

What lives here: the claims, made of the very answer that is told, so that a receipt can not say
more than its caller may learn. docs/receipts.md lists them.
"""

import hashlib
import json
from functools import lru_cache
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp
from maywe.v1 import common_pb2, decision_pb2

from decision.catalog import Catalog, LocalisedText
from service.receipts.verifying import FORMAT_VERSION

WORDINGS_KEPT_MAX: Final = 1024
"""Hashes kept: every receipt of an ALLOW has one, and there are few."""

Request = decision_pb2.MayContactRequest | decision_pb2.MayShareRequest
Response = decision_pb2.MayContactResponse | decision_pb2.MayShareResponse


def claims_of(
    caller: str, request: Request, told: Response, catalog: Catalog, epoch: int, signed_at: int
) -> dict[str, Any]:
    """Write what a caller asked and was told.

    `catalog` is the one that the answer rests on, `signed_at` in seconds since 1970.
    """
    return {
        "version": FORMAT_VERSION,
        "jti": told.decision_id,
        "iat": signed_at,
        "caller": caller,
        "question": _question(request),
        "decided_at": _instant(told.decided_at),
        "answer": _answer(told, catalog),
        "ledger": _given(
            epoch=epoch,
            state_version=told.state_version,
            catalog_publication=told.catalog_publication,
        )
        if told.catalog_publication
        else {},
    }


def _question(request: Request) -> dict[str, Any]:
    at = _instant(request.at) if request.HasField("at") else ""
    if isinstance(request, decision_pb2.MayContactRequest):
        asked: dict[str, Any] = {
            "contact": {"channel": request.channel, "purpose": request.purpose}
        }
    else:
        asked = {
            "share": {
                "partner": request.partner,
                "datasets": list(request.datasets),
                "purpose": request.purpose,
            }
        }
    return {"customer_id": request.customer_id, **asked, **_given(at=at)}


def _answer(told: Response, catalog: Catalog) -> dict[str, Any]:
    written = {**_verdict(told, catalog), "outside_promise": told.outside_promise}
    if isinstance(told, decision_pb2.MayContactResponse):
        return {**written, "allowed_channels": list(told.allowed_channels)}
    datasets = [{"dataset": one.dataset, **_verdict(one, catalog)} for one in told.datasets]
    return {**written, "datasets": datasets, "allowed_datasets": list(told.allowed_datasets)}


def _verdict(told: Response | common_pb2.DatasetAnswer, catalog: Catalog) -> dict[str, Any]:
    written: dict[str, Any] = {
        "verdict": common_pb2.Verdict.Name(told.verdict).removeprefix("VERDICT_"),
        "reason": common_pb2.Reason.Name(told.reason).removeprefix("REASON_"),
    }
    if told.HasField("not_after"):
        written["not_after"] = _instant(told.not_after)
    # Only what is about one scope has a basis; that of a share has one for each data set.
    if not isinstance(told, decision_pb2.MayShareResponse) and told.HasField("basis"):
        written["basis"] = _basis(told.basis, catalog)
    return written


def _basis(basis: common_pb2.Basis, catalog: Catalog) -> dict[str, Any]:
    """Write a basis, without its product: whoever is shown the receipt need not see contracts."""
    wording = catalog.wording(basis.consent_type, basis.wording_version)
    return {
        "event_id": basis.event_id,
        "consent_type": basis.consent_type,
        "wording_version": basis.wording_version,
        "obtained_at": _instant(basis.obtained_at),
        **_given(
            ends_at=_instant(basis.ends_at) if basis.HasField("ends_at") else "",
            wording_sha256="" if wording is None else wording_hash(wording.text),
        ),
    }


@lru_cache(WORDINGS_KEPT_MAX)
def wording_hash(wording: LocalisedText) -> str:
    """Give the SHA-256 of a wording, in hexadecimal digits: of its texts by language, as JSON.

    Keys are sorted, nothing is escaped that need not be, and there is no space between.
    """
    text = json.dumps(dict(wording), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _given(**fields: object) -> dict[str, Any]:
    """Leave out what is not given."""
    return {name: value for name, value in fields.items() if value not in ("", None)}


def _instant(instant: Timestamp) -> str:
    """Write an instant as RFC 3339, to the microsecond."""
    text: str = instant.ToJsonString()
    return text
