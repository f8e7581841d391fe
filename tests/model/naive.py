"""The naive system: publish, apply a step, ask a probe, in the shapes of the case files.

What lives here: recording and refusing, known time, merges and voids, and the shape of
an answer. What must not: what events mean; that is in world.py.
"""

from typing import Any, Final

from tests.model.document import (
    CODE_LISTS,
    Document,
    codes,
    effects_of,
    entries,
    faults_against_published,
    faults_in_itself,
)
from tests.model.events import Event, customers_named, read_event
from tests.model.instants import NEVER, SECOND_MICROSECONDS, format_instant, parse_instant
from tests.model.scopes import Scope
from tests.model.world import Verdict, World

CHECK_PAST_TOLERANCE_SECONDS: Final = 5
"""How far in the past a check may name its instant and still mean now."""

LATEST: Final = 10**9
"""A known time after every step: all that is recorded."""


class Refused(Exception):  # noqa: N818 - a refusal is an outcome here, not an error.
    """A step or a question is refused with this gRPC status, and nothing is changed."""

    def __init__(self, status: str, *faults: str) -> None:
        super().__init__(f"{status}: {'; '.join(faults)}")
        self.status = status
        self.faults = faults


class NaiveSystem:
    """Everything recorded, in lists; known time is the number of the step that recorded it."""

    def __init__(self) -> None:
        self.step_count = 0
        self.events: list[Event] = []
        self.publications: list[tuple[int, Document]] = []

    def publish(self, document: Document) -> None:
        """Publish a catalog as the next step; Refused with every fault of the stronger kind."""
        self.apply({"op": "publish", "catalog": document})

    def apply(self, step: dict[str, Any]) -> bool:
        """Apply the next step; True where it recorded something, False for a repeated event."""
        known = self.step_count
        self.step_count += 1
        if step["op"] == "publish":
            self._publish(known, step["catalog"])
            return True
        try:
            event = read_event(step, known)
        except ValueError as fault:
            raise Refused("INVALID_ARGUMENT", str(fault)) from fault
        recorded = self._event(event.event_id)
        if recorded is not None:
            if (recorded.operation, recorded.content) != (event.operation, event.content):
                raise Refused("ALREADY_EXISTS", f"{event.event_id} is another event")
            return False
        self._refuse_unknown_codes(event)
        self._refuse_out_of_place(event)
        self.events.append(event)
        return True

    def ask(self, probe: dict[str, Any], now: int) -> dict[str, Any]:
        """The answer to a probe, in the shape of its `expect`; now is an instant."""
        at, known = self._instants_of(probe, now)
        scopes = self._scopes_of(probe)
        world = self.world(probe["customer"], known)
        verdicts = [world.answer(scope, at) for scope in scopes]
        if probe.get("datasets") is None:
            return _one_answer(verdicts[0])
        return _answer_for_datasets(probe["datasets"], verdicts)

    def world(self, customer: str, known: int = LATEST) -> World:
        """What was known of the person behind an id right after a step."""
        ids = self.ids_of(customer, known)
        mine = [
            event for event in self.events if event.known <= known and customers_named(event) & ids
        ]
        counting = [event for event in mine if not self._voided(event.event_id, known)]
        return World(counting, self._document(known), named=bool(counting))

    def ids_of(self, customer: str, known: int = LATEST) -> set[str]:
        """Every id of the same person as known right after a step."""
        merged_into = self._merged_into(known)
        everyone = {customer, *merged_into, *merged_into.values()}
        person = _root(merged_into, customer)
        return {one for one in everyone if _root(merged_into, one) == person}

    def _publish(self, known: int, document: Document) -> None:
        faults = faults_in_itself(document)
        if faults:
            raise Refused("INVALID_ARGUMENT", *faults)
        faults = faults_against_published(document, [former for _, former in self.publications])
        for event in self.events:
            faults.extend(
                f"{kind} {code} is gone and {event.event_id} uses it"
                for kind, code in _codes_used_by(event)
                if code not in codes(document, kind)
            )
            if event.operation == "consent":
                effects = effects_of(document, event.content["consent_type"])
                if event.content["value"] not in effects:
                    faults.append(f"value {event.content['value']} is gone and is used")
        if faults:
            raise Refused("FAILED_PRECONDITION", *faults)
        self.publications.append((known, document))

    def _refuse_unknown_codes(self, event: Event) -> None:
        document = self._document(LATEST)
        content = event.content
        for kind, code in _codes_used_by(event):
            if code not in codes(document, kind):
                raise Refused("INVALID_ARGUMENT", f"no such {kind}: {code}")
        if event.operation != "consent":
            return
        effect = effects_of(document, content["consent_type"]).get(content["value"])
        if effect is None:
            raise Refused("INVALID_ARGUMENT", f"no such value: {content['value']}")
        if "expires_at" in content and effect != "grants":
            raise Refused("INVALID_ARGUMENT", "expires_at on a value that does not grant")
        versions = [
            wording["version"]
            for wording in entries(document or {}, "wordings")
            if wording["consent_type"] == content["consent_type"]
        ]
        if "wording_version" in content and content["wording_version"] not in versions:
            raise Refused("INVALID_ARGUMENT", "no such wording version")

    def _refuse_out_of_place(self, event: Event) -> None:
        content = event.content
        merged_into = self._merged_into(LATEST)
        if event.operation == "merge":
            if content["from"] in merged_into:
                raise Refused("FAILED_PRECONDITION", "merged already")
            if _root(merged_into, content["into"]) == content["from"]:
                raise Refused("FAILED_PRECONDITION", "that would be a circle")
        elif event.operation == "split" and content["from"] not in merged_into:
            raise Refused("FAILED_PRECONDITION", "not merged")
        elif event.operation == "void":
            target = self._event(content["voided_event_id"])
            if target is None:
                raise Refused("NOT_FOUND", "no such event")
            if target.operation in ("void", "merge", "split"):
                raise Refused("FAILED_PRECONDITION", "this kind of event cannot be voided")
            if self._voided(target.event_id, LATEST):
                raise Refused("FAILED_PRECONDITION", "voided already")

    def _event(self, event_id: str) -> Event | None:
        return next((event for event in self.events if event.event_id == event_id), None)

    def _voided(self, event_id: str, known: int) -> bool:
        return any(
            event.operation == "void"
            and event.known <= known
            and event.content["voided_event_id"] == event_id
            for event in self.events
        )

    def _merged_into(self, known: int) -> dict[str, str]:
        """Who is merged into whom: merges and splits replayed in the order of recording."""
        merged_into: dict[str, str] = {}
        for event in self.events:
            if event.known <= known and event.operation == "merge":
                merged_into[event.content["from"]] = event.content["into"]
            if event.known <= known and event.operation == "split":
                del merged_into[event.content["from"]]
        return merged_into

    def _document(self, known: int) -> Document | None:
        documents = [document for at, document in self.publications if at <= known]
        return documents[-1] if documents else None

    def _instants_of(self, probe: dict[str, Any], now: int) -> tuple[int, int]:
        """The instant asked about, and the last step whose records count."""
        name = "at" if probe["via"] == "check" else "valid_at"
        try:
            at = parse_instant(probe[name]) if probe.get(name) is not None else now
        except ValueError as fault:
            raise Refused("INVALID_ARGUMENT", str(fault)) from fault
        if probe["via"] == "check":
            if at < now - CHECK_PAST_TOLERANCE_SECONDS * SECOND_MICROSECONDS:
                raise Refused("INVALID_ARGUMENT", "a check does not ask about the past")
            return max(at, now), LATEST
        known = probe.get("known_after_step")
        return at, LATEST if known is None else known

    def _scopes_of(self, probe: dict[str, Any]) -> list[Scope]:
        kind, purpose = probe["ask"], probe["purpose"]
        self._require("purpose", purpose)
        if kind == "process":
            return [Scope(kind, purpose)]
        if kind == "contact":
            self._require("channel", probe["channel"])
            return [Scope(kind, purpose, channel=probe["channel"])]
        datasets = probe["datasets"] if probe.get("datasets") is not None else [probe["dataset"]]
        if not datasets or len(set(datasets)) < len(datasets):
            raise Refused("INVALID_ARGUMENT", "at least one data set, and none twice")
        self._require("partner", probe["partner"])
        for dataset in datasets:
            self._require("dataset", dataset)
        return [
            Scope(kind, purpose, partner=probe["partner"], dataset=dataset) for dataset in datasets
        ]

    def _require(self, kind: str, code: str) -> None:
        if code not in codes(self._document(LATEST), kind):
            raise Refused("INVALID_ARGUMENT", f"no such {kind}: {code}")


def _root(merged_into: dict[str, str], customer: str) -> str:
    while customer in merged_into:
        customer = merged_into[customer]
    return customer


def _codes_used_by(event: Event) -> list[tuple[str, str]]:
    fields = event.content | event.content.get("selector", {})
    return [(kind, fields[kind]) for kind in CODE_LISTS if kind in fields]


def _one_answer(verdict: Verdict) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "verdict": "ALLOW" if verdict.allowed else "DENY",
        "reason": verdict.reason,
    }
    if verdict.basis is not None:
        basis = verdict.basis
        answer["not_after"] = _instant_or_none(verdict.not_after)
        answer["wording"] = f"{basis.consent_type}/{basis.wording['version']}"
        answer["basis_event"] = basis.event_id
        answer["obtained_at"] = format_instant(basis.obtained_at)
    return answer


def _answer_for_datasets(datasets: list[str], verdicts: list[Verdict]) -> dict[str, Any]:
    denied = [verdict for verdict in verdicts if not verdict.allowed]
    answer: dict[str, Any] = {
        "verdict": "DENY" if denied else "ALLOW",
        "reason": denied[0].reason if denied else "ALLOWED",
        "allowed_datasets": [
            dataset for dataset, verdict in zip(datasets, verdicts, strict=True) if verdict.allowed
        ],
    }
    if not denied:
        answer["not_after"] = _instant_or_none(min(verdict.not_after for verdict in verdicts))
    return answer


def _instant_or_none(instant: int) -> str | None:
    return None if instant == NEVER else format_instant(instant)
