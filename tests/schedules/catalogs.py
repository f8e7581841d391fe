"""The catalogs of the schedules: one in which everything is granted, and what may follow it."""

from typing import Any, Final

from decision.questions import ContactQuestion, ShareQuestion
from decision.scopes import Scope, ScopeKind

CALL: Final = ContactQuestion("advertising", "phone")
SHARE: Final = ShareQuestion("advertising", "bank", ("profile",))


def name_of(scope: Scope) -> str:
    """Name a scope as histories do."""
    if scope.kind is ScopeKind.CONTACT:
        return f"contact/{scope.channel}"
    return f"share/{scope.partner}/{scope.dataset}"


CALL_SCOPE: Final = name_of(CALL.scopes[0])
SHARE_SCOPE: Final = name_of(SHARE.scopes[0])
SCOPES: Final = (CALL_SCOPE, SHARE_SCOPE)
"""What a customer who consents allows."""


def document(
    *, grants_calls: bool = True, is_bank_suspended: bool = False, remark: str = ""
) -> dict[str, Any]:
    """A catalog in which a consent grants calls and sharing with the bank, if not said otherwise.

    A later consent stands for an earlier one. A remark is of no consequence.
    """
    bank: dict[str, Any] = {"code": "bank", "name": "bank"}
    if is_bank_suspended:
        bank["suspended_from"] = "2015-01-01T00:00:00Z"
    calls = [{"purpose": "advertising", "channels": ["phone"]}] if grants_calls else []
    return {
        "zone": "Europe/Moscow",
        "purposes": [{"code": "advertising", "name": "advertising" + remark}],
        "channels": [{"code": "phone", "name": "phone"}],
        "partners": [bank],
        "datasets": [{"code": "profile", "name": "profile"}],
        "consent_types": [{"code": "calls", "name": "calls", "terms": "latest"}],
        "wordings": [
            {
                "consent_type": "calls",
                "version": 1,
                "text": "You may call me and tell the bank.",
                "in_force_from": "2010-01-01T00:00:00Z",
                "term": "indefinite",
                "grants": [
                    *calls,
                    {"purpose": "advertising", "partners": ["bank"], "datasets": ["profile"]},
                ],
            }
        ],
        "matrix": [],
        "acquisition_rules": [],
    }
