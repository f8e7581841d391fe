"""Generated steps in the shape of case files.

What lives here: a builder that adds one step at a time and knows, through the naive model,
what was recorded, so that references, repeats and voids hit. What must not: probes.
"""

import copy
from collections.abc import Callable
from typing import Any, Final

from tests.model.choices import Choices, chance, pick, weighted
from tests.model.document import Document, effects_of
from tests.model.faulty_catalog import faulty
from tests.model.naive import NaiveSystem, Refused
from tests.model.palette import (
    CONSENT_TYPES,
    EARLY,
    PARTNERS,
    Palette,
    event_id,
    palette,
    product,
    selector,
)
from tests.model.random_catalog import catalog, corrected

Step = dict[str, Any]

WEIGHTS: Final = {
    "purchase": 32,
    "consent": 30,
    "revoke": 13,
    "restrict": 6,
    "lift": 6,
    "acquire": 5,
    "close_product": 13,
    "merge": 8,
    "split": 4,
    "void": 9,
    "publish": 6,
    "repeat": 4,
    "invalid": 3,
}
RESTRICTION_KINDS: Final = ("complaint", "do_not_contact", "legal_hold", "deceased")
FAULTY_PUBLICATION_PERCENT: Final = 20
FOREIGN_REFERENCE_PERCENT: Final = 25
RECENT_STEPS: Final = 4
LONG_AGO: Final = "2009-09-09T09:09:09Z"
CHANGED_FIELD: Final[dict[str, Step]] = {
    "purchase": {"purchased_at": LONG_AGO},
    "consent": {"obtained_at": LONG_AGO},
    "revoke": {"revoked_at": LONG_AGO},
    "restrict": {"from": LONG_AGO},
    "lift": {"lifted_at": LONG_AGO},
    "acquire": {"acquired_at": LONG_AGO},
    "close_product": {"closed_at": LONG_AGO},
    "merge": {"into": "someone else"},
    "split": {"from": "someone else"},
    "void": {"cause": "another cause"},
}
"""What makes an event another one that is valid in itself."""


class ScenarioBuilder:
    """Builds a scenario step by step; every step is also applied to a naive system."""

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.palette: Palette = palette(choices)
        self.system = NaiveSystem()
        self.steps: list[Step] = []
        self.recorded: list[Step] = []
        self.document: Document | None = None

    def add_first_steps(self) -> None:
        """A publication to begin with, rarely after some purchases."""
        for _ in range(self.choices.below(3) if chance(self.choices, 15) else 0):
            self.add(self._purchase())
        self.add({"op": "publish", "catalog": catalog(self.choices, self.palette)})

    def add_next_step(self) -> Step:
        """One more step of any kind."""
        operation = weighted(self.choices, WEIGHTS)
        step = self._makers()[operation]()
        self.add(step)
        return step

    def add(self, step: Step) -> None:
        """Apply a step to the naive system and note it, whether recorded or refused."""
        self.steps.append(step)
        try:
            recorded = self.system.apply(step)
        except Refused:
            return
        if step["op"] == "publish":
            self.document = step["catalog"]
        elif recorded:
            self.recorded.append(step)

    def _makers(self) -> dict[str, Callable[[], Step]]:
        return {
            "purchase": self._purchase,
            "consent": self._consent,
            "revoke": self._revoke,
            "restrict": self._restrict,
            "lift": self._lift,
            "acquire": self._acquire,
            "close_product": self._close_product,
            "merge": self._merge,
            "split": self._split,
            "void": self._void,
            "publish": self._publish,
            "repeat": self._repeat,
            "invalid": self._invalid,
        }

    def _purchase(self) -> Step:
        return self._step("purchase", purchased_at=self._instant(), product=product(self.choices))

    def _consent(self) -> Step:
        code = pick(self.choices, CONSENT_TYPES)
        effects = effects_of(self.document, code) or {"granted": "grants"}
        granting = [value for value, effect in effects.items() if effect == "grants"]
        offered = granting if granting and chance(self.choices, 60) else list(effects)
        value = pick(self.choices, offered)
        step = self._step("consent", consent_type=code, value=value, obtained_at=self._instant())
        step["source"] = {"process": "questionnaire", "channel": "branch", "document": "A-17"}
        later = [one for one in self.palette.instants if one > step["obtained_at"]]
        if effects[value] == "grants" and later and chance(self.choices, 30):
            step["expires_at"] = pick(self.choices, later)
        versions = self._versions_of(code)
        if versions and chance(self.choices, 25):
            step["wording_version"] = pick(self.choices, versions)
        if chance(self.choices, 35):
            step["product"] = product(self.choices)
        return step

    def _revoke(self) -> Step:
        event_ids = self._event_ids("purchase", "consent")
        found = selector(self.choices, for_revocation=True, event_ids=event_ids)
        step = self._step("revoke", selector=found, revoked_at=self._instant())
        step["source"] = {"process": "personal account"}
        return step

    def _restrict(self) -> Step:
        step = self._step(
            "restrict",
            kind=pick(self.choices, RESTRICTION_KINDS),
            selector=selector(self.choices, for_revocation=False, event_ids=[]),
        )
        step["from"] = self._instant()
        later = [one for one in self.palette.instants if one > step["from"]]
        step["until"] = pick(self.choices, later) if later and chance(self.choices, 60) else None
        return step

    def _lift(self) -> Step:
        """A lifting, mostly of a restriction or acquisition of the same customer, or not yet."""
        targets = [one for one in self.recorded if one["op"] in ("restrict", "acquire")]
        step = self._step("lift", lifted_at=self._instant())
        if targets and chance(self.choices, 85):
            target = pick(self.choices, targets)
            step["restriction_event_id"] = target["event_id"]
            if not chance(self.choices, FOREIGN_REFERENCE_PERCENT):
                step["customer"] = target["customer"]
        else:
            step["restriction_event_id"] = self._next_event_id(ahead=1)
        return step

    def _acquire(self) -> Step:
        return self._step(
            "acquire", partner=pick(self.choices, PARTNERS), acquired_at=self._instant()
        )

    def _close_product(self) -> Step:
        """A closing, mostly of a product that was bought, spelt in another way at times."""
        step = self._step("close_product", closed_at=self._instant())
        bought = [one for one in self.recorded if "product" in one and one["op"] != "close_product"]
        if bought and chance(self.choices, 75):
            target = pick(self.choices, bought)
            step["product"] = target["product"]
            bought_at = target.get("purchased_at") or target.get("obtained_at") or EARLY
            later = [one for one in self.palette.instants if one >= bought_at]
            step["closed_at"] = pick(self.choices, later or [step["closed_at"]])
            if not chance(self.choices, FOREIGN_REFERENCE_PERCENT):
                step["customer"] = target["customer"]
        else:
            step["product"] = product(self.choices)
        return step

    def _merge(self) -> Step:
        """A merge, at times going on where an earlier one led, or closing a circle."""
        step = self._step("merge")
        step["from"] = step.pop("customer")
        merges = [one for one in self.recorded if one["op"] == "merge"]
        if merges and chance(self.choices, 50):
            step["from"] = merges[-1]["into"]
        others = [one for one in self.palette.customers if one != step["from"]]
        step["into"] = pick(self.choices, [*others, "newcomer"])
        return step

    def _split(self) -> Step:
        """A split of one who was merged once, so of one who is split already at times."""
        merged = [one["from"] for one in self.recorded if one["op"] == "merge"]
        if not merged:
            return self._merge()
        return {
            "op": "split",
            "event_id": self._next_event_id(),
            "from": pick(self.choices, merged),
        }

    def _void(self) -> Step:
        step: Step = {"op": "void", "event_id": self._next_event_id(), "cause": "wrong customer"}
        if self.recorded and chance(self.choices, 95):
            step["voided_event_id"] = pick(self.choices, self.recorded)["event_id"]
        else:
            step["voided_event_id"] = "nothing"
        return step

    def _publish(self) -> Step:
        former = self.document or catalog(self.choices, self.palette)
        if self.document and chance(self.choices, FAULTY_PUBLICATION_PERCENT):
            return {"op": "publish", "catalog": faulty(self.choices, former)}
        return {"op": "publish", "catalog": corrected(self.choices, self.palette, former)}

    def _repeat(self) -> Step:
        """An earlier event again: the same, which is accepted, or another under its id."""
        if not self.recorded:
            return self._purchase()
        step = copy.deepcopy(pick(self.choices, self.recorded))
        step.pop("repeat", None)
        if chance(self.choices, 70):
            return {**step, "repeat": True}
        return step | CHANGED_FIELD[step["op"]]

    def _invalid(self) -> Step:
        """A step that is faulty in itself or against the catalog, under a new event id."""
        at = self._instant()
        faults: list[tuple[str, Step]] = [
            ("revoke", {"selector": {}, "revoked_at": at}),
            ("revoke", {"selector": {"all": True, "channel": "sms"}, "revoked_at": at}),
            ("revoke", {"selector": {"channel": "sms", "partner": "acme"}, "revoked_at": at}),
            ("revoke", {"selector": {"kind": "process", "channel": "sms"}, "revoked_at": at}),
            ("revoke", {"selector": {"kind": "contact", "dataset": "scoring"}, "revoked_at": at}),
            ("revoke", {"selector": {"kind": "letter"}, "revoked_at": at}),
            ("revoke", {"selector": {"purpose": "no_such_purpose"}, "revoked_at": at}),
            ("restrict", {"selector": {"consent_type": "type_a"}, "kind": "complaint", "from": at}),
            ("restrict", {"selector": {"event_id": "e1"}, "kind": "complaint", "from": at}),
            (
                "restrict",
                {
                    "selector": {"all": True},
                    "kind": "complaint",
                    "from": at,
                    "until": "2009-01-01T00:00:00Z",
                },
            ),
            ("acquire", {"partner": "no_such_partner", "acquired_at": at}),
            ("consent", {"consent_type": "no_such_type", "value": "granted", "obtained_at": at}),
            ("consent", {"consent_type": "type_a", "value": "perhaps", "obtained_at": at}),
            ("consent", self._granted(at, expires_at=at)),
            ("consent", self._granted(at, wording_version=77)),
            (
                "consent",
                {
                    "consent_type": "type_a",
                    "value": "refused",
                    "obtained_at": at,
                    "expires_at": "2060-01-01T00:00:00Z",
                },
            ),
            ("purchase", {"customer": "", "purchased_at": at, "product": product(self.choices)}),
            (
                "purchase",
                {"customer": "x" * 129, "purchased_at": at, "product": product(self.choices)},
            ),
            (
                "purchase",
                {"customer": "a\u0007", "purchased_at": at, "product": product(self.choices)},
            ),
            ("split", {"from": "never seen"}),
        ]
        operation, fields = pick(self.choices, faults)
        step = self._step(operation, **fields)
        if operation == "split":
            del step["customer"]
        return step

    def _granted(self, at: str, **fields: Any) -> Step:
        return {"consent_type": "type_a", "value": "granted", "obtained_at": at, **fields}

    def _step(self, operation: str, **fields: Any) -> Step:
        customer = self.palette.customers[0]
        if chance(self.choices, 45):
            customer = pick(self.choices, self.palette.customers)
        return {"op": operation, "event_id": self._next_event_id(), "customer": customer} | fields

    def _next_event_id(self, ahead: int = 0) -> str:
        """The id for the step that comes now, or so many steps later if it happens to be drawn."""
        return event_id(self.choices, len(self.steps) + ahead)

    def _instant(self) -> str:
        """One of the scarce instants, often the very one of a recent event."""
        recent = [
            value
            for step in self.recorded[-RECENT_STEPS:]
            for name, value in step.items()
            if name.endswith("_at")
        ]
        if recent and chance(self.choices, 30):
            return str(pick(self.choices, recent))
        return pick(self.choices, self.palette.instants)

    def _event_ids(self, *operations: str) -> list[str]:
        found = [one["event_id"] for one in self.recorded if one["op"] in operations]
        return [*found, self._next_event_id(ahead=1)]

    def _versions_of(self, code: str) -> list[int]:
        wordings = self.document["wordings"] if self.document else []
        return [one["version"] for one in wordings if one["consent_type"] == code]
