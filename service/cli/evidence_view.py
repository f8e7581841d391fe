"""Tables of what proves an answer: grants, restrictions, events, wordings, rows, publications.

What lives here: what `explain` and `card` show alike.
"""

from collections.abc import Iterable

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from maywe.v1.event_pb2 import Event, RecordedEvent
from maywe.v1.evidence_pb2 import (
    Grant,
    GrantedScope,
    MatrixRow,
    PublicationReference,
    Restriction,
    Wording,
)
from rich.text import Text

from service.cli.moments import shown_end, shown_moment
from service.cli.output import FAINT, Output
from service.cli.words import (
    product_text,
    reason_code,
    scope_text,
    selector_text,
    source_text,
)

SCOPES_PER_LINE_MAX = 6
"""Scopes of a grant that end alike are told together; so many are named, then counted."""


def show_grants(output: Output, grants: Iterable[Grant], zone: str) -> None:
    """Show grants, one line for each group of scopes that end alike."""
    rows = []
    for grant in grants:
        for scopes, end, ended_by in _scope_groups(grant, zone):
            rows.append(
                (
                    f"{grant.consent_type}/{grant.wording_version}",
                    grant.value or f"row {grant.matrix_row_id}",
                    shown_moment(grant.obtained_at, zone),
                    end,
                    ended_by,
                    scopes,
                    product_text(grant.product),
                    source_text(grant.source),
                    grant.event_id,
                    shown_moment(grant.recorded_at, zone),
                    _marks(grant),
                )
            )
    output.table(
        (
            "consent",
            "by",
            "obtained",
            "ends",
            "ends by",
            "scopes",
            "product",
            "source",
            "event",
            "recorded",
            "brought by",
        ),
        rows,
    )


def show_restrictions(output: Output, restrictions: Iterable[Restriction], zone: str) -> None:
    """Show restrictions."""
    output.table(
        ("kind", "denies", "from", "until", "lifted by", "source", "event", "recorded"),
        [
            (
                restriction.kind or f"came through {restriction.acquired_through_partner}",
                selector_text(restriction.selector),
                shown_moment(restriction.effective_from, zone),
                shown_end(
                    restriction.ends_at, is_given=restriction.HasField("ends_at"), zone_name=zone
                ),
                restriction.lifted_by_event_id,
                source_text(restriction.source),
                restriction.event_id,
                shown_moment(restriction.recorded_at, zone),
            )
            for restriction in restrictions
        ],
    )


def show_events(output: Output, events: Iterable[RecordedEvent], zone: str) -> None:
    """Show events in the order recorded."""
    output.table(
        ("recorded", "kind", "event", "customer", "content", "source", "void"),
        [
            (
                shown_moment(event.recorded_at, zone),
                event.event.WhichOneof("event") or "",
                *_event_cells(event.event, zone),
                f"by {event.voided_by_event_id}" if event.voided_by_event_id else "",
            )
            for event in events
        ],
    )


def show_wordings(output: Output, wordings: Iterable[Wording], zone: str) -> None:
    """Show wordings word by word."""
    for wording in wordings:
        until = shown_end(
            wording.in_force_to, is_given=wording.HasField("in_force_to"), zone_name=zone
        )
        in_force = (
            f"  in force {shown_moment(wording.in_force_from, zone)} to {until}, "
            f"term {wording.term}, first published in {wording.first_published_number}"
        )
        output.line(f"{wording.consent_type}/{wording.version}", Text(in_force, style=FAINT))
        for text in wording.texts:
            for line in text.text.splitlines():
                output.line(f"  {text.language}: " if text.language else "  ", line)


def show_matrix_rows(output: Output, rows: Iterable[MatrixRow], zone: str) -> None:
    """Show matrix rows."""
    output.table(
        (
            "row",
            "system",
            "product type",
            "series mask",
            "number mask",
            "in force from",
            "to",
            "consent types",
            "publication",
        ),
        [
            (
                row.id,
                row.system_code,
                row.product_type,
                row.series_mask,
                row.number_mask,
                shown_moment(row.in_force_from, zone),
                shown_end(row.in_force_to, is_given=row.HasField("in_force_to"), zone_name=zone),
                ", ".join(row.consent_types),
                str(row.publication_number),
            )
            for row in rows
        ],
    )


def show_publications(
    output: Output, publications: Iterable[PublicationReference], zone: str = ""
) -> None:
    """Show publications."""
    output.table(
        ("number", "recorded", "publisher", "comment", "publication id"),
        [
            (
                str(publication.number),
                shown_moment(publication.recorded_at, zone),
                publication.publisher,
                publication.comment,
                publication.publication_id,
            )
            for publication in publications
        ],
    )


def _scope_groups(grant: Grant, zone: str) -> list[tuple[str, str, str]]:
    """Give the grant's scopes grouped by how they end: the scopes, the end, what ended them."""
    groups: dict[tuple[str, str], list[str]] = {}
    for scope in grant.scopes:
        groups.setdefault((_end(scope, zone), _ended_by(scope)), []).append(scope_text(scope.scope))
    if not groups:
        return [("none", "", "")]
    return [(_listed(texts), end, ended_by) for (end, ended_by), texts in groups.items()]


def _listed(texts: list[str]) -> str:
    if len(texts) <= SCOPES_PER_LINE_MAX:
        return "; ".join(texts)
    more = len(texts) - SCOPES_PER_LINE_MAX
    return "; ".join(texts[:SCOPES_PER_LINE_MAX]) + f"; and {more} more"


def _end(scope: GrantedScope, zone: str) -> str:
    if scope.empty:
        return "never held"
    return shown_end(scope.ends_at, is_given=scope.HasField("ends_at"), zone_name=zone)


def _ended_by(scope: GrantedScope) -> str:
    return " ".join(part for part in (reason_code(scope.ended_by), scope.ended_by_event_id) if part)


def _marks(grant: Grant) -> str:
    marks = []
    if grant.brought_by_late_event:
        marks.append("late event")
    if grant.brought_by_later_publication:
        marks.append("later publication")
    return ", ".join(marks)


def _event_cells(event: Event, zone: str) -> tuple[str, str, str, str]:
    """Give the id, the customer, what else the event says in one line, and its source."""
    part = event.WhichOneof("event")
    if part is None:
        return "", "", "", ""
    message: Message = getattr(event, part)
    fields = MessageToDict(message, preserving_proto_field_name=True)
    customer = fields.pop("customer_id", "")
    event_id = fields.pop("event_id", "")
    fields.pop("source", None)
    words = [
        f"{name.replace('_', ' ')} {_value_text(message, name, zone)}" for name in sorted(fields)
    ]
    return event_id, customer, "; ".join(words), source_text(getattr(event, part).source)


def _value_text(message: Message, name: str, zone: str) -> str:
    value = getattr(message, name)
    if isinstance(value, Timestamp):
        return shown_moment(value, zone)
    if name == "product":
        return product_text(value)
    if name == "selector":
        return selector_text(value)
    return str(value)
