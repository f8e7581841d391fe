"""The catalog of a campaign: few scopes, and two switches by which a publication narrows for all.

What lives here: the document and the names of its scopes. When it is published is the catalog
client's affair.
"""

import json
from typing import Any, Final

PURPOSE: Final = "advertising"
CHANNELS: Final = ("phone", "sms", "email")
PARTNERS: Final = ("insurer", "telecom")
DATASETS: Final = ("contacts", "scoring")

CONSENT: Final = "offers"
"""Given by a consent of its own, for years."""

PRODUCT_CONSENT: Final = "bundle"
"""Given by a purchase, until the product is closed."""

PRODUCT_TYPE: Final = "loan"
SWITCHED_CHANNEL: Final = "email"
SWITCHED_PARTNER: Final = "insurer"
IN_FORCE_FROM: Final = "2020-01-01T00:00:00Z"


def contact(channel: str) -> str:
    """Name the scope of contacting by a channel."""
    return f"contact/{channel}"


def share(partner: str, dataset: str) -> str:
    """Name the scope of sharing a data set with a partner."""
    return f"share/{partner}/{dataset}"


CONTACTS: Final = tuple(contact(channel) for channel in CHANNELS)
SHARES: Final = tuple(share(partner, dataset) for partner in PARTNERS for dataset in DATASETS)
SCOPES: Final = (*CONTACTS, *SHARES)
SHARES_OF_SWITCHED_PARTNER: Final = tuple(share(SWITCHED_PARTNER, dataset) for dataset in DATASETS)


def document(*, is_partner_suspended: bool, is_channel_worded: bool) -> str:
    """Write the catalog: with a partner suspended or not, a channel in the wordings or not."""
    channels = [channel for channel in CHANNELS if channel != SWITCHED_CHANNEL or is_channel_worded]
    partners = [_named(partner) for partner in PARTNERS]
    if is_partner_suspended:
        partners[PARTNERS.index(SWITCHED_PARTNER)]["suspended_from"] = IN_FORCE_FROM
    grants = [
        {"purpose": PURPOSE, "channels": channels},
        {"purpose": PURPOSE, "partners": list(PARTNERS), "datasets": list(DATASETS)},
    ]
    return json.dumps(
        {
            "zone": "Europe/Moscow",
            "purposes": [_named(PURPOSE)],
            "channels": [_named(channel) for channel in CHANNELS],
            "partners": partners,
            "datasets": [_named(dataset) for dataset in DATASETS],
            "consent_types": [_named(CONSENT), _named(PRODUCT_CONSENT)],
            "wordings": [
                _wording(CONSENT, "P5Y", grants),
                _wording(PRODUCT_CONSENT, "until_product_closed", grants),
            ],
            "matrix": [
                {
                    "id": "loans",
                    "product_type": PRODUCT_TYPE,
                    "in_force_from": IN_FORCE_FROM,
                    "consent_types": [PRODUCT_CONSENT],
                }
            ],
        }
    )


def _named(code: str) -> dict[str, Any]:
    return {"code": code, "name": code}


def _wording(consent_type: str, term: str, grants: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "consent_type": consent_type,
        "version": 1,
        "text": f"The text of {consent_type}.",
        "in_force_from": IN_FORCE_FROM,
        "term": term,
        "grants": grants,
    }
