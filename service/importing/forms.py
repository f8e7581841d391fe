"""The form of each kind of event an import can bring: its fields, their types, which are required.

What lives here: one table, in the shape of a case file's step. How a cell becomes a field's value
is in `conversion`; whether codes exist is the writer's to say.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Final

INSTANT_ALIAS: Final = "at"
"""In a mapping, `at` is the instant field of whichever kind the row is."""


class FieldType(StrEnum):
    """How a field's text is read. A StrEnum hashes in C, and fields are many."""

    IDENTIFIER = auto()
    TEXT = auto()
    INSTANT = auto()
    INTEGER = auto()
    BOOLEAN = auto()


@dataclass(frozen=True, slots=True)
class EventForm:
    """The fields of one kind of event. A dotted name is a part of a nested object."""

    fields: Mapping[str, FieldType]
    required: frozenset[str]
    instant_field: str | None


_SOURCE: Final = {
    "source.process": FieldType.TEXT,
    "source.channel": FieldType.TEXT,
    "source.document": FieldType.TEXT,
    "source.recorded_by": FieldType.TEXT,
}
_PRODUCT: Final = {
    f"product.{part}": FieldType.IDENTIFIER
    for part in ("system_code", "product_type", "series", "number")
}
_SCOPE_SELECTOR: Final = {
    "selector.all": FieldType.BOOLEAN,
    **{
        f"selector.{part}": FieldType.IDENTIFIER
        for part in ("kind", "purpose", "channel", "partner", "dataset")
    },
}
_GRANT_SELECTOR: Final = {
    "selector.consent_type": FieldType.IDENTIFIER,
    "selector.event_id": FieldType.IDENTIFIER,
}


def _form(
    *required: str, instant: str | None = None, optional: Mapping[str, FieldType] | None = None
) -> EventForm:
    """Make a form. Required fields are identifiers, unless `optional` gives them another type."""
    fields = dict.fromkeys(required, FieldType.IDENTIFIER)
    if instant is not None:
        fields[instant] = FieldType.INSTANT
    fields |= dict(optional or {}) | _SOURCE
    needed = frozenset(required) | ({instant} if instant is not None else frozenset())
    return EventForm(fields, needed, instant)


EVENT_FORMS: Final[Mapping[str, EventForm]] = {
    "purchase": _form("customer", instant="purchased_at", optional=_PRODUCT),
    "close_product": _form("customer", instant="closed_at", optional=_PRODUCT),
    "consent": _form(
        "customer",
        "consent_type",
        "value",
        instant="obtained_at",
        optional={
            "wording_version": FieldType.INTEGER,
            "expires_at": FieldType.INSTANT,
            **_PRODUCT,
        },
    ),
    "revoke": _form(
        "customer", instant="revoked_at", optional={**_SCOPE_SELECTOR, **_GRANT_SELECTOR}
    ),
    "restrict": _form(
        "customer",
        "kind",
        instant="from",
        optional={"until": FieldType.INSTANT, **_SCOPE_SELECTOR},
    ),
    "lift": _form("customer", "restriction_event_id", instant="lifted_at"),
    "acquire": _form("customer", "partner", instant="acquired_at"),
    "void": _form("voided_event_id", "cause", optional={"cause": FieldType.TEXT}),
    "merge": _form("from", "into"),
    "split": _form("from"),
}
"""By op, as in a case file's step."""

PRODUCT_OPS: Final = frozenset({"purchase", "close_product"})
"""Kinds that need a product that something names."""

SELECTOR_OPS: Final = frozenset({"revoke", "restrict"})
"""Kinds that need a selector that names something."""

OPEN_END_FIELDS: Final = {"restrict": "until"}
"""Fields whose absence means an open end and is written as None."""

FIELD_NAMES: Final = frozenset(
    {INSTANT_ALIAS}.union(*(form.fields for form in EVENT_FORMS.values()))
)
"""Every field name that some kind has."""
