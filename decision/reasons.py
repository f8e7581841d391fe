"""Verdicts and reasons, with the order of strength of what ends a consent.

The numbers are stored in cached records: a number is never reused or changed. Each reason is
defined in `semantics.md`, "The answer for a scope at instant t".
"""

from enum import IntEnum
from typing import Final


class Verdict(IntEnum):
    """What an answer says. Not knowing is UNDETERMINED, never an ALLOW nor a considered DENY."""

    ALLOW = 1
    DENY = 2
    UNDETERMINED = 3


class Reason(IntEnum):
    """Why an answer is as it is."""

    ALLOWED = 1
    UNKNOWN_CUSTOMER = 2
    RESTRICTED = 3
    PARTNER_SUSPENDED = 4
    CONSENT_REVOKED = 5
    CONSENT_REFUSED = 6
    PRODUCT_CLOSED = 7
    CONSENT_SUPERSEDED = 8
    CONSENT_EXPIRED = 9
    CONSENT_NOT_YET_VALID = 10
    NO_CONSENT = 11
    UNAVAILABLE = 12


STRENGTH_BY_CAUSE: Final[dict[Reason, int]] = {
    Reason.CONSENT_REVOKED: 5,
    Reason.CONSENT_REFUSED: 4,
    Reason.PRODUCT_CLOSED: 3,
    Reason.CONSENT_SUPERSEDED: 2,
    Reason.CONSENT_EXPIRED: 1,
}
"""Of causes that fall on the same instant the strongest is named (`semantics.md`, step 5)."""


def verdict_of(reason: Reason) -> Verdict:
    """Give the verdict that a reason stands for."""
    return _OTHER_VERDICTS.get(reason, Verdict.DENY)


_OTHER_VERDICTS: Final = {
    Reason.ALLOWED: Verdict.ALLOW,
    Reason.UNAVAILABLE: Verdict.UNDETERMINED,
}
