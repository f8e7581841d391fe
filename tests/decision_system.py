"""The real decision package over plain lists, with the surface of the naive model.

What lives here: a system in memory whose every meaning comes from `decision`, so that the pure
package can be compared with the naive model without servers. It stands in for nothing else: what
the store and the service do is tested on the real ones. What must not live here: rules.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from decision.answer import Answer, ShareAnswer, answer_scope
from decision.catalog import EMPTY_CATALOG, Catalog
from decision.catalog_document import inspect_catalog
from decision.catalog_history import (
    UsedCode,
    codes_of_body,
    codes_of_wordings,
    faults_against_history,
)
from decision.errors import (
    AlreadyExistsError,
    ErrorCode,
    FieldFault,
    InvalidArgumentError,
    MayweError,
    NotFoundError,
    PreconditionError,
    PublicationRefusedError,
)
from decision.event_rules import check_event, check_instant, check_scope
from decision.events import (
    Acquisition,
    Body,
    Consent,
    Erasure,
    Lifting,
    Merge,
    NewEvent,
    ProductClosing,
    Purchase,
    Restriction,
    Revocation,
    Source,
    Split,
    TimelineEvent,
    Void,
)
from decision.fold import fold
from decision.grants import FoldedTimeline
from decision.instants import FOREVER, Instant, parse_instant, to_datetime
from decision.products import Product
from decision.reasons import Verdict
from decision.scopes import Scope, ScopeKind, contact, process, share
from decision.selectors import Selector
from decision.timeline import PermissionTimeline, permission_timeline

Step = Mapping[str, Any]

ALL_THAT_IS_KNOWN: Final = 10**9
"""A known time after every step."""

CHECK_PAST_TOLERANCE_MICROSECONDS: Final = 5 * 1_000_000
"""How far in the past a check may name its instant and still mean now."""


def status_of(error: MayweError) -> str:
    """The gRPC status that an error of `decision` becomes."""
    if isinstance(error, PublicationRefusedError):
        return "INVALID_ARGUMENT" if error.is_invalid else "FAILED_PRECONDITION"
    for kind, status in (
        (InvalidArgumentError, "INVALID_ARGUMENT"),
        (AlreadyExistsError, "ALREADY_EXISTS"),
        (NotFoundError, "NOT_FOUND"),
        (PreconditionError, "FAILED_PRECONDITION"),
    ):
        if isinstance(error, kind):
            return status
    raise AssertionError(f"no refusal: {error!r}")


@dataclass(frozen=True, slots=True)
class Known:
    """What was known of one person right after a step."""

    catalog: Catalog
    events: Sequence[TimelineEvent]
    folded: FoldedTimeline
    timeline: PermissionTimeline

    def answer(self, scope: Scope, at: Instant) -> Answer:
        """The answer for a scope at an instant."""
        return answer_scope(self.timeline, self.catalog.suspension_of(scope), scope, at)


class DecisionSystem:
    """Everything recorded, in lists; known time is the number of the step that recorded it."""

    def __init__(self) -> None:
        self.step_count = 0
        self._recorded: list[tuple[int, NewEvent]] = []
        self._publications: list[tuple[int, Catalog]] = []
        self._used_codes: set[UsedCode] = set()

    @property
    def catalogs(self) -> list[Catalog]:
        """Every catalog published, oldest first."""
        return [catalog for _, catalog in self._publications]

    def publish(self, document: object) -> None:
        """Publish a catalog as the next step. Raises PublicationRefusedError with every fault."""
        self.apply({"op": "publish", "catalog": document})

    def apply(self, step: Step) -> bool:
        """Apply the next step; True where it recorded something, False for a repeated event.

        Raises the MayweError with which the step is refused.
        """
        known = self.step_count
        self.step_count += 1
        if step["op"] == "publish":
            self._publish(known, step["catalog"])
            return True
        event = read_event(step)
        earlier = self._event(event.event_id)
        if earlier is not None:
            if earlier != event:
                raise AlreadyExistsError("taken", ErrorCode.EVENT_ID_TAKEN)
            return False
        check_event(event, self._catalog(ALL_THAT_IS_KNOWN))
        self._refuse_out_of_place(event.body)
        self._recorded.append((known, event))
        self._used_codes |= codes_of_body(event.body)
        return True

    def ask(self, probe: Step, now: Instant) -> dict[str, Any]:
        """The answer to a probe, in the shape of its `expect`; now is an instant."""
        at, known_step = _instants_of(probe, now)
        scopes = self._scopes_of(probe)
        known = self.known(probe["customer"], known_step)
        answers = [known.answer(scope, at) for scope in scopes]
        if probe.get("datasets") is None:
            return _one_answer(answers[0])
        return _answer_for_datasets(probe["datasets"], ShareAnswer(answers))

    def known(self, customer: str, known_step: int = ALL_THAT_IS_KNOWN) -> Known:
        """What was known right after a step of the person behind an id."""
        ids = self._ids_of(customer, known_step)
        void = {body.voided_event_id for body in self._bodies(known_step) if isinstance(body, Void)}
        events = [
            TimelineEvent(event.event_id, event.customer_id, event.body, event.source)
            for step, event in self._recorded
            if step <= known_step
            and event.customer_id in ids
            and event.event_id not in void
            and not isinstance(event.body, Void | Merge | Split | Erasure)
        ]
        named_by_merge = any(
            {body.from_customer_id, body.into_customer_id} & ids
            for body in self._bodies(known_step)
            if isinstance(body, Merge)
        )
        catalog = self._catalog(known_step)
        folded = fold(catalog, events, named_by_merge=named_by_merge)
        return Known(catalog, events, folded, permission_timeline(folded))

    def _publish(self, known: int, document: object) -> None:
        catalog, faults = inspect_catalog(document)
        newest = self._catalog(ALL_THAT_IS_KNOWN)
        faults += faults_against_history(catalog, newest, self._used_codes)
        if faults:
            raise PublicationRefusedError(faults)
        self._publications.append((known, catalog))
        self._used_codes |= codes_of_wordings(catalog)

    def _refuse_out_of_place(self, body: Body) -> None:
        """Refuse what the ledger refuses; the store does this where the ledger is."""
        merged_into = self._merged_into(ALL_THAT_IS_KNOWN)
        if isinstance(body, Merge):
            if body.from_customer_id in merged_into:
                raise PreconditionError("merged already", ErrorCode.ALREADY_MERGED)
            if _root(merged_into, body.into_customer_id) == body.from_customer_id:
                raise PreconditionError("a circle", ErrorCode.MERGE_CIRCLE)
        elif isinstance(body, Split) and body.customer_id not in merged_into:
            raise PreconditionError("not merged", ErrorCode.NOT_MERGED)
        elif isinstance(body, Void):
            voided = self._event(body.voided_event_id)
            if voided is None:
                raise NotFoundError("no such event", ErrorCode.EVENT_NOT_FOUND)
            if isinstance(voided.body, Void | Merge | Split):
                raise PreconditionError("not voidable", ErrorCode.NOT_VOIDABLE)
            if any(
                isinstance(other, Void) and other.voided_event_id == body.voided_event_id
                for other in self._bodies(ALL_THAT_IS_KNOWN)
            ):
                raise PreconditionError("void already", ErrorCode.ALREADY_VOID)

    def _event(self, event_id: str) -> NewEvent | None:
        return next((event for _, event in self._recorded if event.event_id == event_id), None)

    def _bodies(self, known_step: int) -> list[Body]:
        return [event.body for step, event in self._recorded if step <= known_step]

    def _merged_into(self, known_step: int) -> dict[str, str]:
        merged_into: dict[str, str] = {}
        for body in self._bodies(known_step):
            if isinstance(body, Merge):
                merged_into[body.from_customer_id] = body.into_customer_id
            elif isinstance(body, Split):
                del merged_into[body.customer_id]
        return merged_into

    def _ids_of(self, customer: str, known_step: int) -> set[str]:
        merged_into = self._merged_into(known_step)
        root = _root(merged_into, customer)
        everyone = {customer, *merged_into, *merged_into.values()}
        return {one for one in everyone if _root(merged_into, one) == root}

    def _catalog(self, known_step: int) -> Catalog:
        known = [catalog for step, catalog in self._publications if step <= known_step]
        return known[-1] if known else EMPTY_CATALOG

    def _scopes_of(self, probe: Step) -> list[Scope]:
        scopes = _scopes_of(probe)
        if not scopes or len(set(scopes)) < len(scopes):
            raise InvalidArgumentError(FieldFault("datasets", "at least one, and none twice"))
        for scope in scopes:
            check_scope(scope, self._catalog(ALL_THAT_IS_KNOWN))
        return scopes


def _root(merged_into: Mapping[str, str], customer: str) -> str:
    while customer in merged_into:
        customer = merged_into[customer]
    return customer


def read_event(step: Step) -> NewEvent:
    """The event of a step. Raises InvalidArgumentError where the step can not be read."""
    body = _BODIES[step["op"]](step)
    named = step.get("customer", "") if not isinstance(body, Void | Merge | Split) else ""
    source = step.get("source") or {}
    return NewEvent(step["event_id"], named, body, Source(**source))


def read_selector(content: Mapping[str, Any]) -> Selector:
    """A selector of a step. Raises InvalidArgumentError for an unknown kind."""
    parts = {name: value for name, value in content.items() if value is not None}
    if "kind" in parts:
        try:
            parts["kind"] = ScopeKind(parts["kind"])
        except ValueError as error:
            raise InvalidArgumentError(FieldFault("selector.kind", str(error))) from error
    return Selector(**parts)


def _instant(step: Step, field: str) -> Instant:
    try:
        return parse_instant(step[field])
    except ValueError as error:
        raise InvalidArgumentError(FieldFault(field, str(error))) from error


def _optional_instant(step: Step, field: str) -> Instant | None:
    return None if step.get(field) is None else _instant(step, field)


def _product(step: Step) -> Product:
    return Product(**{name: value or "" for name, value in step["product"].items()})


def _consent(step: Step) -> Consent:
    return Consent(
        obtained_at=_instant(step, "obtained_at"),
        consent_type=step["consent_type"],
        value=step["value"],
        wording_version=step.get("wording_version"),
        expires_at=_optional_instant(step, "expires_at"),
        product=None if step.get("product") is None else _product(step),
    )


def _restriction(step: Step) -> Restriction:
    until = _optional_instant(step, "until")
    return Restriction(
        effective_from=_instant(step, "from"),
        effective_until=FOREVER if until is None else until,
        kind=step["kind"],
        selector=read_selector(step["selector"]),
    )


_BODIES: Final[dict[str, Callable[[Step], Body]]] = {
    "purchase": lambda step: Purchase(_instant(step, "purchased_at"), _product(step)),
    "close_product": lambda step: ProductClosing(_instant(step, "closed_at"), _product(step)),
    "consent": _consent,
    "revoke": lambda step: Revocation(
        _instant(step, "revoked_at"), read_selector(step["selector"])
    ),
    "restrict": _restriction,
    "lift": lambda step: Lifting(_instant(step, "lifted_at"), step["restriction_event_id"]),
    "acquire": lambda step: Acquisition(_instant(step, "acquired_at"), step["partner"]),
    "void": lambda step: Void(step["voided_event_id"], step["cause"]),
    "merge": lambda step: Merge(step["from"], step["into"]),
    "split": lambda step: Split(step["from"]),
}


def _scopes_of(probe: Step) -> list[Scope]:
    purpose = probe["purpose"]
    if probe["ask"] == "process":
        return [process(purpose)]
    if probe["ask"] == "contact":
        return [contact(purpose, probe["channel"])]
    datasets = probe["datasets"] if probe.get("datasets") is not None else [probe["dataset"]]
    return [share(purpose, probe["partner"], dataset) for dataset in datasets]


def _instants_of(probe: Step, now: Instant) -> tuple[Instant, int]:
    """The instant asked about, and the last step whose records count."""
    field = "at" if probe["via"] == "check" else "valid_at"
    at = now if probe.get(field) is None else _instant(probe, field)
    check_instant(field, at)
    if probe["via"] == "check":
        if at < now - CHECK_PAST_TOLERANCE_MICROSECONDS:
            raise InvalidArgumentError(FieldFault("at", "lies in the past"))
        return max(at, now), ALL_THAT_IS_KNOWN
    known_step = probe.get("known_after_step")
    return at, ALL_THAT_IS_KNOWN if known_step is None else known_step


def _one_answer(answer: Answer) -> dict[str, Any]:
    shown: dict[str, Any] = {"verdict": answer.verdict.name, "reason": answer.reason.name}
    if answer.basis is not None:
        basis = answer.basis
        shown["not_after"] = _end(answer.not_after)
        shown["wording"] = f"{basis.consent_type}/{basis.wording_version}"
        shown["basis_event"] = basis.event_id
        shown["obtained_at"] = shown_instant(basis.obtained_at)
    return shown


def _answer_for_datasets(datasets: list[str], answer: ShareAnswer) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "verdict": answer.verdict.name,
        "reason": answer.reason.name,
        "allowed_datasets": [
            dataset
            for dataset, each in zip(datasets, answer.answers, strict=True)
            if each.is_allowed
        ],
    }
    if answer.verdict is Verdict.ALLOW:
        shown["not_after"] = _end(answer.not_after)
    return shown


def _end(instant: Instant) -> str | None:
    return None if instant == FOREVER else shown_instant(instant)


def shown_instant(instant: Instant) -> str:
    """An instant as the naive model shows it: six digits of fraction, or none."""
    return to_datetime(instant).isoformat().replace("+00:00", "Z")
