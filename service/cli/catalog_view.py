"""How faults and previews of the catalog look.

What lives here: tables of what `catalog` was answered.
"""

from collections.abc import Iterable

from maywe.v1 import catalog_pb2, common_pb2
from maywe.v1.catalog_pb2 import CatalogFault, CustomerEffect, PreviewPublicationResponse
from maywe.v1.common_pb2 import ChangeDirection, ScopeAnswer, Verdict
from rich.text import Text

from service.cli.moments import shown_moment
from service.cli.output import BAD, GOOD, UNSURE, Cell, Output, number
from service.cli.words import reason_code, scope_text

_FAULT_KINDS = {
    catalog_pb2.FAULT_KIND_INVALID: "invalid",
    catalog_pb2.FAULT_KIND_CONFLICT: "conflict",
}
_DIRECTIONS = {
    common_pb2.CHANGE_DIRECTION_NARROWED: ("loses", BAD),
    common_pb2.CHANGE_DIRECTION_WIDENED: ("gains", GOOD),
    common_pb2.CHANGE_DIRECTION_CHANGED: ("loses and gains", UNSURE),
}


def show_faults(output: Output, faults: Iterable[CatalogFault]) -> None:
    """Show every fault: where, what is wrong, what would be right."""
    output.table(
        ("path", "problem", "remedy", "kind"),
        [
            (
                fault.path or "(whole document)",
                fault.problem,
                fault.remedy,
                _FAULT_KINDS.get(fault.kind, ""),
            )
            for fault in faults
        ],
    )


def show_preview(output: Output, preview: PreviewPublicationResponse) -> None:
    """Show who would gain and who would lose what."""
    unmatched = (
        f"{number(preview.unmatched_count_before)} now, "
        f"{number(preview.unmatched_count_after)} afterwards"
    )
    output.fields(
        [
            ("compared with", f"publication {preview.base_number or 'none'}"),
            ("compared at", shown_moment(preview.compared_at)),
            ("customers", number(preview.customer_count)),
            ("would gain", number(preview.gaining_count)),
            ("would lose", number(preview.losing_count)),
            ("would change", number(preview.changed_count)),
            ("unmatched purchases", unmatched),
        ]
    )
    if preview.scopes:
        output.heading("by scope")
        output.table(
            ("scope", "gain", "lose", "change"),
            [
                (
                    scope_text(effect.scope),
                    number(effect.gaining_count),
                    number(effect.losing_count),
                    number(effect.changed_count),
                )
                for effect in preview.scopes
            ],
        )
    if preview.partners:
        output.heading("by partner")
        output.table(
            ("partner", "gain", "lose", "change"),
            [
                (
                    effect.partner,
                    number(effect.gaining_count),
                    number(effect.losing_count),
                    number(effect.changed_count),
                )
                for effect in preview.partners
            ],
        )
    if preview.samples:
        output.heading("samples")
        output.table(
            ("customer", "direction", "before", "after", "scopes"),
            [row for sample in preview.samples for row in _sample_rows(sample)],
        )


def _sample_rows(sample: CustomerEffect) -> list[tuple[Cell, ...]]:
    """Give one row for all scopes of a customer that change alike."""
    groups: dict[tuple[ChangeDirection, str, str], list[str]] = {}
    for change in sample.changes:
        key = (change.direction, _answer_text(change.before), _answer_text(change.after))
        groups.setdefault(key, []).append(scope_text(change.scope))
    rows: list[tuple[Cell, ...]] = []
    for (direction, before, after), scopes in groups.items():
        word, style = _DIRECTIONS.get(direction, ("", ""))
        rows.append((sample.customer_id, Text(word, style=style), before, after, "; ".join(scopes)))
    return rows


def _answer_text(answer: ScopeAnswer) -> str:
    if answer.verdict != Verdict.VERDICT_ALLOW:
        return reason_code(answer.reason)
    if not answer.HasField("not_after"):
        return "allowed"
    return f"allowed until {shown_moment(answer.not_after)}"
