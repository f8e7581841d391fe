"""What was known of one person, and the answers that follow, for the naive model.

What lives here: grants, restrictions and the answer for a scope, read off semantics.md
sentence by sentence, without any precomputed state. What must not: recording, merging,
which events and which catalog were known; naive.py hands those in.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from tests.model.document import (
    Document,
    consent_type_of,
    effects_of,
    entries,
)
from tests.model.events import Event
from tests.model.instants import (
    INDEFINITE,
    NEVER,
    UNTIL_PRODUCT_CLOSED,
    add_duration,
    parse_instant,
)
from tests.model.matching import in_force, row_for, same_product
from tests.model.scopes import Scope, named_fields, scopes_of, selects

CAUSES: Final = (
    "CONSENT_REVOKED",
    "CONSENT_REFUSED",
    "PRODUCT_CLOSED",
    "CONSENT_SUPERSEDED",
    "CONSENT_EXPIRED",
)
"""What ends a grant, the strongest first."""


@dataclass(frozen=True)
class Grant:
    """One consent: of one type from one event."""

    event_id: str
    consent_type: str
    wording: dict[str, Any]
    product: dict[str, str] | None
    obtained_at: int
    explicit_end: int | None
    scopes: frozenset[Scope]


@dataclass(frozen=True)
class Restriction:
    """An interval in which what the selector selects is denied."""

    begins: int
    ends: int
    selector: dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """The answer for one scope; with ALLOW, the grant it rests on."""

    reason: str
    not_after: int = NEVER
    basis: Grant | None = None
    basis_ends: int = NEVER

    @property
    def allowed(self) -> bool:
        """Whether the answer is ALLOW."""
        return self.reason == "ALLOWED"


@dataclass
class World:
    """The events of one person that counted, and the catalog, as known at one instant."""

    events: list[Event]
    document: Document | None
    named: bool
    _grants: list[Grant] | None = field(default=None, init=False)
    _restrictions: list[Restriction] | None = field(default=None, init=False)

    def answer(self, scope: Scope, at: int) -> Verdict:
        """The answer for a scope at an instant: semantics.md, The answer, rules 1 to 5."""
        reason = self._reason(scope, at)
        if reason != "ALLOWED":
            return Verdict(reason)
        holding = [grant for grant in self.grants() if self._holds(grant, scope, at)]
        holding.sort(key=lambda grant: (grant.event_id, grant.consent_type))
        holding.sort(key=lambda grant: grant.obtained_at, reverse=True)
        holding.sort(key=lambda grant: self._end(grant, scope)[0], reverse=True)
        basis = holding[0]
        return Verdict(reason, self._not_after(scope, at), basis, self._end(basis, scope)[0])

    def boundaries_of(self, scope: Scope) -> set[int]:
        """Every instant at which the answer for a scope may change."""
        found = set()
        for grant in self.grants():
            if scope in grant.scopes:
                found.add(grant.obtained_at)
                found.update(instant for instant, _ in self._endings(grant, scope))
        for restriction in self.restrictions():
            found.update((restriction.begins, restriction.ends))
        for partner in entries(self.document, "partners") if self.document else []:
            found.update(_suspension_of(partner))
        return found - {NEVER}

    def _reason(self, scope: Scope, at: int) -> str:
        if not self.named:
            return "UNKNOWN_CUSTOMER"
        if any(
            selects(restriction.selector, scope) and restriction.begins <= at < restriction.ends
            for restriction in self.restrictions()
        ):
            return "RESTRICTED"
        if self._suspended(scope, at):
            return "PARTNER_SUSPENDED"
        if any(self._holds(grant, scope, at) for grant in self.grants()):
            return "ALLOWED"
        return self._reason_without_consent(scope, at)

    def _reason_without_consent(self, scope: Scope, at: int) -> str:
        """Rule 5: why a scope that nothing else denies is not allowed."""
        covering = [grant for grant in self.grants() if scope in grant.scopes]
        ended = [self._end(grant, scope) for grant in covering if grant.obtained_at <= at]
        if ended:
            last = max(instant for instant, _ in ended)
            return _strongest([cause for instant, cause in ended if instant == last])
        if any(self._end(grant, scope)[0] > grant.obtained_at for grant in covering):
            return "CONSENT_NOT_YET_VALID"
        return "NO_CONSENT"

    def _not_after(self, scope: Scope, at: int) -> int:
        """The first later instant at which the answer is no longer ALLOW, walking over all."""
        for boundary in sorted(self.boundaries_of(scope)):
            if boundary > at and self._reason(scope, boundary) != "ALLOWED":
                return boundary
        return NEVER

    def _suspended(self, scope: Scope, at: int) -> bool:
        for partner in entries(self.document, "partners") if self.document else []:
            if scope.kind == "share" and partner["code"] == scope.partner:
                begins, ends = _suspension_of(partner)
                return begins <= at < ends
        return False

    def _holds(self, grant: Grant, scope: Scope, at: int) -> bool:
        return scope in grant.scopes and grant.obtained_at <= at < self._end(grant, scope)[0]

    def _end(self, grant: Grant, scope: Scope) -> tuple[int, str]:
        """When the scope of the grant ends, and the strongest of what ends it then."""
        endings = self._endings(grant, scope)
        if not endings:
            return NEVER, ""
        first = min(instant for instant, _ in endings)
        return first, _strongest([cause for instant, cause in endings if instant == first])

    def _endings(self, grant: Grant, scope: Scope) -> list[tuple[int, str]]:
        """All that would end the scope of the grant, each with its instant and cause."""
        endings = self._endings_by_term(grant)
        for event in self._of("consent"):
            if self._effect(event) == "refuses" and _type(event) == grant.consent_type:
                endings.append((event.content["obtained_at"], "CONSENT_REFUSED"))
        if self._keeps_latest(grant.consent_type):
            for later in self.grants():
                if (
                    later.consent_type == grant.consent_type
                    and later.obtained_at > grant.obtained_at
                ):
                    endings.append((later.obtained_at, "CONSENT_SUPERSEDED"))
        for event in self._of("revoke"):
            selector = named_fields(event.content["selector"])
            if (
                selects(selector, scope)
                and selector.get("consent_type") in (None, grant.consent_type)
                and selector.get("event_id") in (None, grant.event_id)
            ):
                endings.append((event.content["revoked_at"], "CONSENT_REVOKED"))
        return [(instant, cause) for instant, cause in endings if instant >= grant.obtained_at]

    def _endings_by_term(self, grant: Grant) -> list[tuple[int, str]]:
        if grant.explicit_end is not None:
            return [(grant.explicit_end, "CONSENT_EXPIRED")]
        term = grant.wording["term"]
        if term == INDEFINITE:
            return []
        if term == UNTIL_PRODUCT_CLOSED:
            if grant.product is None:
                return []
            return [
                (event.content["closed_at"], "PRODUCT_CLOSED")
                for event in self._of("close_product")
                if same_product(event.content["product"], grant.product)
            ]
        ends = self._term_end(grant.obtained_at, term)
        return [] if ends == NEVER else [(ends, "CONSENT_EXPIRED")]

    def _term_end(self, begins: int, term: str) -> int:
        if term == INDEFINITE:
            return NEVER
        assert self.document is not None
        return add_duration(begins, term, self.document["zone"])

    def grants(self) -> list[Grant]:
        """Every grant, the empty ones too, from every event that counted."""
        if self._grants is None:
            self._grants = [
                grant
                for event in self.events
                for grant in (*self._grants_of_purchase(event), *self._grants_of_consent(event))
            ]
        return self._grants

    def unmatched(self) -> list[str]:
        """The events that want a row or a wording which the catalog does not have."""
        found = []
        for event in self._of("purchase"):
            row = self._row(event)
            wanted = row["consent_types"] if row else [None]
            if any(not code or self._wording(event, code) is None for code in wanted):
                found.append(event.event_id)
        found.extend(
            event.event_id
            for event in self._of("consent")
            if self._effect(event) in ("grants", "refuses") and not self._grants_of_consent(event)
        )
        return found

    def _grants_of_purchase(self, event: Event) -> list[Grant]:
        row = self._row(event) if event.operation == "purchase" else None
        codes = row["consent_types"] if row else []
        return [
            self._grant(event, code, wording)
            for code in codes
            if (wording := self._wording(event, code)) is not None
        ]

    def _grants_of_consent(self, event: Event) -> list[Grant]:
        if event.operation != "consent" or self._effect(event) not in ("grants", "refuses"):
            return []
        wording = self._wording(event, _type(event))
        return [] if wording is None else [self._grant(event, _type(event), wording)]

    def _grant(self, event: Event, code: str, wording: dict[str, Any]) -> Grant:
        return Grant(
            event_id=event.event_id,
            consent_type=code,
            wording=wording,
            product=event.content.get("product"),
            obtained_at=_happened_at(event),
            explicit_end=event.content.get("expires_at"),
            scopes=scopes_of(wording["grants"]),
        )

    def _row(self, event: Event) -> dict[str, Any] | None:
        if self.document is None:
            return None
        matrix = entries(self.document, "matrix")
        return row_for(matrix, event.content["product"], _happened_at(event))

    def _wording(self, event: Event, code: str) -> dict[str, Any] | None:
        """The wording that the event names as signed, else the one in force when it happened."""
        named = event.content.get("wording_version")
        for wording in entries(self.document, "wordings") if self.document else []:
            if wording["consent_type"] == code and (
                wording["version"] == named
                or (named is None and in_force(wording, _happened_at(event)))
            ):
                return wording
        return None

    def _effect(self, event: Event) -> str:
        return effects_of(self.document, _type(event)).get(event.content["value"], "notes")

    def _keeps_latest(self, code: str) -> bool:
        entry = consent_type_of(self.document, code)
        return entry is not None and entry.get("terms") == "latest"

    def restrictions(self) -> list[Restriction]:
        """Every restriction that lasts at all, liftings counted."""
        if self._restrictions is None:
            self._restrictions = [
                lasting
                for event in self.events
                for restriction in self._restrictions_of(event)
                if (lasting := self._lifted(event, restriction)).begins < lasting.ends
            ]
        return self._restrictions

    def _restrictions_of(self, event: Event) -> list[Restriction]:
        content = event.content
        if event.operation == "restrict":
            return [Restriction(content["from"], content.get("until", NEVER), content["selector"])]
        if event.operation == "acquire" and self.document is not None:
            begins = content["acquired_at"]
            return [
                Restriction(begins, self._term_end(begins, rule["term"]), rule["selector"])
                for rule in entries(self.document, "acquisition_rules")
                if rule["partner"] == content["partner"]
            ]
        return []

    def _lifted(self, event: Event, restriction: Restriction) -> Restriction:
        ends = restriction.ends
        for lifting in self._of("lift"):
            if lifting.content["restriction_event_id"] == event.event_id:
                ends = min(ends, lifting.content["lifted_at"])
        return Restriction(restriction.begins, ends, restriction.selector)

    def _of(self, operation: str) -> list[Event]:
        return [event for event in self.events if event.operation == operation]


def _happened_at(event: Event) -> int:
    instant: int = event.content["purchased_at" if event.operation == "purchase" else "obtained_at"]
    return instant


def _type(event: Event) -> str:
    code: str = event.content["consent_type"]
    return code


def _strongest(causes: list[str]) -> str:
    return min(causes, key=CAUSES.index)


def _suspension_of(partner: dict[str, Any]) -> tuple[int, int]:
    """From when until when a partner is suspended; an empty interval where it is not."""
    begins, ends = partner.get("suspended_from"), partner.get("suspended_to")
    if begins is None:
        return NEVER, NEVER
    return parse_instant(begins), NEVER if ends is None else parse_instant(ends)
