"""Selectors: which scopes, and for revocations which grants, something is about.

What lives here: the value, its rules of form and its matching (`semantics.md`, "A selector").
Whether its codes exist is checked against the catalog in `event_rules` and `catalog_document`.
"""

from dataclasses import dataclass, fields

from decision.scopes import Scope, ScopeKind


@dataclass(frozen=True, slots=True)
class Selector:
    """What is selected. An empty string names nothing; all that are named must match."""

    all: bool = False
    kind: ScopeKind | None = None
    purpose: str = ""
    channel: str = ""
    partner: str = ""
    dataset: str = ""
    consent_type: str = ""
    event_id: str = ""

    def matches_scope(self, scope: Scope) -> bool:
        """Tell whether the parts about scopes match `scope`."""
        return (
            (self.kind is None or self.kind is scope.kind)
            and (not self.purpose or self.purpose == scope.purpose)
            and (not self.channel or self.channel == scope.channel)
            and (not self.partner or self.partner == scope.partner)
            and (not self.dataset or self.dataset == scope.dataset)
        )

    def matches_grant(self, event_id: str, consent_type: str) -> bool:
        """Tell whether the parts about grants match a grant of that event and type."""
        return (not self.event_id or self.event_id == event_id) and (
            not self.consent_type or self.consent_type == consent_type
        )

    def named(self) -> dict[str, str]:
        """Give the parts that are named, by field, without `all`; the kind by its value."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        del parts["all"]
        return {
            name: part.value if isinstance(part, ScopeKind) else part
            for name, part in parts.items()
            if part
        }


EVERYTHING = Selector(all=True)

_KINDS_BY_PART = {
    "channel": ScopeKind.CONTACT,
    "partner": ScopeKind.SHARE,
    "dataset": ScopeKind.SHARE,
}


def problem_of_form(selector: Selector, *, for_revocation: bool) -> str:
    """Say what is wrong with a selector's form, or give the empty string when nothing is."""
    named = selector.named()
    if selector.all and named:
        return "all selects everything and stands alone: drop " + ", ".join(named)
    if not selector.all and not named:
        return "an empty selector selects nothing: name a part, or all for everything"
    if not for_revocation and ("consent_type" in named or "event_id" in named):
        return "consent_type and event_id may be named in revocations only"
    kinds = {kind for part, kind in _KINDS_BY_PART.items() if part in named}
    if selector.kind is not None:
        kinds.add(selector.kind)
    if len(kinds) > 1:
        parts = ", ".join(named)
        return (
            f"nothing matches {parts} together: channel is part of contact scopes only, "
            "partner and dataset of share scopes only"
        )
    return ""
