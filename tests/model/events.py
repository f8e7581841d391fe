"""Steps of case files read into events, for the naive model.

What lives here: the fields of every kind of event, their parsing, and what is wrong with
an event in itself. What must not: the catalog, other events.
"""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.model.instants import parse_instant
from tests.model.scopes import faults_of_selector, named_fields

ID_CHARACTERS_MAX: Final = 128


@dataclass(frozen=True)
class Event:
    """One recorded event: known is the number of the step that brought it."""

    known: int
    operation: str
    event_id: str
    content: dict[str, Any]


def _demand(fulfilled: object, fault: str) -> None:
    """Raises ValueError with the fault where the demand is not fulfilled."""
    if not fulfilled:
        raise ValueError(fault)


def _identifier(value: Any) -> str:
    text = _text(value)
    _demand(len(text) <= ID_CHARACTERS_MAX, f"an id has at most {ID_CHARACTERS_MAX} characters")
    control = [letter for letter in text if unicodedata.category(letter) == "Cc"]
    _demand(not control, "an id has no control characters")
    return text


def _text(value: Any) -> str:
    _demand(isinstance(value, str) and value, f"a text is wanted: {value!r}")
    return str(value)


def _instant(value: Any) -> int:
    return parse_instant(_text(value))


def _product(value: Any) -> dict[str, str]:
    _demand(isinstance(value, dict), "a product is wanted")
    names = ("system_code", "product_type", "series", "number")
    return {name: str(value.get(name) or "") for name in names}


def _restricting_selector(value: Any) -> dict[str, Any]:
    return _selector(value, for_revocation=False)


def _revoking_selector(value: Any) -> dict[str, Any]:
    return _selector(value, for_revocation=True)


def _selector(value: Any, *, for_revocation: bool) -> dict[str, Any]:
    faults = faults_of_selector(value, for_revocation=for_revocation)
    _demand(not faults, "; ".join(faults))
    return named_fields(value)


def _version(value: Any) -> int:
    _demand(isinstance(value, int) and not isinstance(value, bool), f"not a version: {value!r}")
    return int(value)


def _source(value: Any) -> dict[str, str]:
    _demand(isinstance(value, dict), "not a source")
    return {name: str(part) for name, part in value.items() if part not in (None, "")}


Reader = Callable[[Any], Any]

REQUIRED: Final[dict[str, dict[str, Reader]]] = {
    "purchase": {"customer": _identifier, "purchased_at": _instant, "product": _product},
    "consent": {
        "customer": _identifier,
        "consent_type": _identifier,
        "value": _identifier,
        "obtained_at": _instant,
    },
    "close_product": {"customer": _identifier, "closed_at": _instant, "product": _product},
    "revoke": {"customer": _identifier, "revoked_at": _instant, "selector": _revoking_selector},
    "restrict": {
        "customer": _identifier,
        "kind": _identifier,
        "from": _instant,
        "selector": _restricting_selector,
    },
    "lift": {
        "customer": _identifier,
        "restriction_event_id": _identifier,
        "lifted_at": _instant,
    },
    "acquire": {"customer": _identifier, "partner": _identifier, "acquired_at": _instant},
    "merge": {"from": _identifier, "into": _identifier},
    "split": {"from": _identifier},
    "void": {"voided_event_id": _identifier, "cause": _text},
}
OPTIONAL: Final[dict[str, dict[str, Reader]]] = {
    "consent": {"expires_at": _instant, "wording_version": _version, "product": _product},
    "restrict": {"until": _instant},
}
EVERYWHERE: Final[dict[str, Reader]] = {"source": _source}


def read_event(step: dict[str, Any], known: int) -> Event:
    """The event of a step; ValueError where it is faulty in itself."""
    operation = step["op"]
    _demand(operation in REQUIRED, f"no such operation: {operation!r}")
    content: dict[str, Any] = {}
    for name, read in REQUIRED[operation].items():
        content[name] = read(step.get(name))
    for name, read in (OPTIONAL.get(operation, {}) | EVERYWHERE).items():
        if step.get(name) is not None:
            content[name] = read(step[name])
    event = Event(known, operation, _identifier(step.get("event_id")), content)
    _refuse_contradictions(event)
    return event


def _refuse_contradictions(event: Event) -> None:
    content = event.content
    if "expires_at" in content:
        _demand(content["expires_at"] > content["obtained_at"], "expires_at is not later")
    if "until" in content:
        _demand(content["until"] > content["from"], "until is not later than from")
    if event.operation == "merge":
        _demand(content["from"] != content["into"], "a customer is not merged into itself")


def customers_named(event: Event) -> set[str]:
    """The customers whom an event names; a void names nobody."""
    names = {"merge": ("from", "into"), "split": ("from",), "void": ()}
    return {event.content[name] for name in names.get(event.operation, ("customer",))}
