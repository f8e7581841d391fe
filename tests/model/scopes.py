"""Scopes and selectors, for the naive model.

What lives here: what a scope is, which scopes a wording grants, what is wrong with a
selector, and which scopes a selector selects (semantics.md, Words and Selector).
What must not: events, time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

KINDS: Final = ("contact", "share", "process")
SCOPE_FIELDS: Final = ("kind", "purpose", "channel", "partner", "dataset")
GRANT_FIELDS: Final = ("consent_type", "event_id")


@dataclass(frozen=True, order=True)
class Scope:
    """The atom that is allowed or denied; what its kind does not have is empty."""

    kind: str
    purpose: str
    channel: str = ""
    partner: str = ""
    dataset: str = ""


def scopes_of(grants: list[dict[str, Any]]) -> frozenset[Scope]:
    """The scopes that the grants of a wording name."""
    scopes: set[Scope] = set()
    for grant in grants:
        purpose = grant["purpose"]
        if grant.get("channels") is not None:
            scopes.update(Scope("contact", purpose, channel=code) for code in grant["channels"])
        elif grant.get("partners") is not None:
            scopes.update(
                Scope("share", purpose, partner=partner, dataset=dataset)
                for partner in grant["partners"]
                for dataset in grant["datasets"]
            )
        else:
            scopes.add(Scope("process", purpose))
    return frozenset(scopes)


def faults_of_selector(selector: object, *, for_revocation: bool) -> list[str]:
    """What is wrong with a selector in itself; its codes are checked elsewhere."""
    if not isinstance(selector, Mapping):
        return ["a selector is wanted"]
    named = named_fields(selector)
    known = SCOPE_FIELDS + (GRANT_FIELDS if for_revocation else ()) + ("all",)
    faults = [f"{name} has no place here" for name in named if name not in known]
    if not named:
        faults.append("the selector is empty")
    if "all" in named and (len(named) > 1 or named["all"] is not True):
        faults.append("all stands alone")
    faults.extend(
        f"{name} is no text" for name in named if name != "all" and not isinstance(named[name], str)
    )
    kind = named.get("kind")
    if kind is not None and kind not in KINDS:
        faults.append(f"no such kind: {kind}")
    by_channel = "channel" in named
    by_share = "partner" in named or "dataset" in named
    if by_channel and by_share:
        faults.append("nothing has both a channel and a partner or data set")
    if by_channel and kind not in (None, "contact"):
        faults.append("only contact has a channel")
    if by_share and kind not in (None, "share"):
        faults.append("only share has a partner or data set")
    return faults


def named_fields(selector: Mapping[str, Any]) -> dict[str, Any]:
    """What a selector names: null, empty and false count as not named."""
    return {name: value for name, value in selector.items() if value not in (None, "", False)}


def selects(selector: Mapping[str, Any], scope: Scope) -> bool:
    """Whether a selector's own fields of a scope all match."""
    named = named_fields(selector)
    return all(getattr(scope, name) == named[name] for name in SCOPE_FIELDS if name in named)
