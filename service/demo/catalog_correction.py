"""The matrix corrected a month late, as happens when the back office tells the lawyers last.

What lives here: one function from a catalog document to its corrected version.
"""

import copy
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from decision.instants import Instant, to_datetime

CORRECTED_ROW: Final = "credit-cards"
CORRECTION_ROW: Final = "credit-cards-corrected"
REMOVED_CONSENT_TYPE: Final = "advertising"
ADDED_CONSENT_TYPE: Final = "third_party_transfer"


def start_of_last_month(now: Instant, zone: ZoneInfo) -> date:
    """Give the first day of the month before the one that `now` lies in, in the zone."""
    first_of_this_month = to_datetime(now).astimezone(zone).date().replace(day=1)
    return (first_of_this_month - timedelta(days=1)).replace(day=1)


def corrected_catalog(document: Mapping[str, Any], now: Instant) -> dict[str, Any]:
    """Give the document as it should have been since the first of last month.

    Since then a credit card's form has asked for sharing with partners and no longer for
    advertising: some customers gain permissions and some lose them. The given document is left
    as it is. Raises ValueError when it has no row of credit cards to correct.
    """
    corrected = copy.deepcopy(dict(document))
    since = start_of_last_month(now, ZoneInfo(corrected["zone"])).isoformat()
    for row in corrected["matrix"]:
        if row["id"] == CORRECTED_ROW:
            break
    else:
        raise ValueError(f"the catalog has no matrix row {CORRECTED_ROW!r}")
    consent_types = [code for code in row["consent_types"] if code != REMOVED_CONSENT_TYPE]
    corrected["matrix"].append(
        row
        | {
            "id": CORRECTION_ROW,
            "in_force_from": since,
            "consent_types": [*consent_types, ADDED_CONSENT_TYPE],
        }
    )
    row["in_force_to"] = since
    return corrected
