"""Who may call what: the one table, from which the check and docs/security.md both follow.

What lives here: every method of every service that is served, with the roles that may call it. A
method that is missing here is refused. `python -m service.access.table` writes the table into
docs/security.md; with `--check` it only compares.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from service.access.own import (
    IsOnePerson,
    check_does_not_hand_in,
    check_own_knowledge,
    check_own_revocation,
    check_partner,
    own_card,
    own_explanation,
    verdicts_alone,
)
from service.access.roles import Caller, RoleKind


class Rule(NamedTuple):
    """How a role may make a call; `told` says it in the document, and is empty for "in full"."""

    told: str = ""
    check: Callable[[Any, Caller, IsOnePerson], None] | None = None
    reduce: Callable[[Any], Any] | None = None


IN_FULL: Final = Rule()
Rules = Mapping[RoleKind, Rule]


class Open:
    """Stands for the roles of a method that anybody may call, identified or not."""


OPEN: Final = Open()

_READ: Final = RoleKind.DECISION_READ
_PARTNER: Final = RoleKind.PARTNER
_WRITER: Final = RoleKind.WRITER
_EDITOR: Final = RoleKind.CATALOG_EDITOR
_PUBLISHER: Final = RoleKind.CATALOG_PUBLISHER
_AUDITOR: Final = RoleKind.AUDITOR
_OPERATOR: Final = RoleKind.OPERATOR
_CUSTOMER: Final = RoleKind.CUSTOMER


def _full(*kinds: RoleKind) -> Rules:
    return dict.fromkeys(kinds, IN_FULL)


_CATALOG_READERS: Final = _full(_EDITOR, _PUBLISHER, _AUDITOR)

TABLE: Final[Mapping[str, Rules | Open]] = {
    "/maywe.v1.DecisionService/MayContact": _full(_READ),
    "/maywe.v1.DecisionService/MayShare": {
        **_full(_READ),
        _PARTNER: Rule("for itself, verdicts alone", check_partner, verdicts_alone),
    },
    "/maywe.v1.DecisionService/BatchCheck": _full(_READ),
    "/maywe.v1.DecisionService/FilterAudience": _full(_READ),
    "/maywe.v1.DecisionService/ListAllowed": _full(_READ),
    "/maywe.v1.DecisionService/Explain": {
        **_full(_AUDITOR),
        _CUSTOMER: Rule("own, as known now", check_own_knowledge, own_explanation),
    },
    "/maywe.v1.WriterService/RecordPurchase": _full(_WRITER),
    "/maywe.v1.WriterService/CloseProduct": _full(_WRITER),
    "/maywe.v1.WriterService/RecordConsent": _full(_WRITER),
    "/maywe.v1.WriterService/Revoke": {
        **_full(_WRITER),
        _CUSTOMER: Rule("own", check_own_revocation),
    },
    "/maywe.v1.WriterService/Restrict": _full(_WRITER),
    "/maywe.v1.WriterService/LiftRestriction": _full(_WRITER),
    "/maywe.v1.WriterService/RecordAcquisition": _full(_WRITER),
    "/maywe.v1.WriterService/VoidEvent": _full(_WRITER),
    "/maywe.v1.WriterService/MergeCustomers": _full(_WRITER),
    "/maywe.v1.WriterService/SplitCustomer": _full(_WRITER),
    # For good, so not for every system that records; it is told counts, and nobody's data.
    "/maywe.v1.WriterService/EraseCustomer": _full(_OPERATOR),
    "/maywe.v1.WriterService/ImportEvents": _full(_WRITER),
    "/maywe.v1.CatalogService/GetCatalog": _CATALOG_READERS,
    "/maywe.v1.CatalogService/ListPublications": {**_CATALOG_READERS, **_full(_OPERATOR)},
    "/maywe.v1.CatalogService/GetPublication": {**_CATALOG_READERS, **_full(_OPERATOR)},
    "/maywe.v1.CatalogService/ValidateCatalog": _full(_EDITOR, _PUBLISHER),
    "/maywe.v1.CatalogService/PreviewPublication": {
        **_full(_EDITOR),
        _PUBLISHER: Rule("without handing in", check_does_not_hand_in),
    },
    "/maywe.v1.CatalogService/Publish": _full(_PUBLISHER),
    "/maywe.v1.ConsentService/GetConsentCard": {
        **_full(_AUDITOR),
        _CUSTOMER: Rule("own, as known now", check_own_knowledge, own_card),
    },
    "/maywe.v1.ConsentService/ListEvents": _full(_AUDITOR),
    "/maywe.v1.ConsentService/ListUnmatchedPurchases": _full(_EDITOR, _AUDITOR),
    "/maywe.v1.ConsentService/WatchChanges": _full(_READ, _AUDITOR),
    "/maywe.v1.JournalService/GetDecision": _full(_AUDITOR),
    "/maywe.v1.JournalService/ReplayDecision": _full(_AUDITOR),
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": _full(
        _READ, _WRITER, _EDITOR, _PUBLISHER, _AUDITOR, _OPERATOR
    ),
    # Probes and load balancers have no credentials, and learn only whether to come here.
    "/grpc.health.v1.Health/Check": OPEN,
    "/grpc.health.v1.Health/Watch": OPEN,
    "/grpc.health.v1.Health/List": OPEN,
}
"""The roles that may call a method, by its full name."""

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "security.md"
_BEGINNING: Final = "<!-- The table below is written by `make security-table`. -->\n"
_END: Final = "<!-- The table above is written by `make security-table`. -->\n"


def table_text() -> str:
    """Write the table as it stands in the document."""
    return "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    kinds = list(RoleKind)
    yield f"| call | {' | '.join(f'`{kind.shown}`' for kind in kinds)} |"
    yield f"|---|{'---|' * len(kinds)}"
    for method, rules in TABLE.items():
        service, _, name = method[1:].partition("/")
        cells = ["anybody" if isinstance(rules, Open) else _cell(rules, kind) for kind in kinds]
        yield f"| `{service.rpartition('.')[2]}.{name}` | {' | '.join(cells)} |"


def _cell(rules: Rules, kind: RoleKind) -> str:
    rule = rules.get(kind)
    if rule is None:
        return ""
    return rule.told or "yes"


def with_table(text: str) -> str:
    """Give the document with the table as the code has it."""
    before, _, rest = text.partition(_BEGINNING)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGINNING}\n{table_text()}\n{_END}{after}"


def main() -> None:
    """Write the table into the document, or compare."""
    text = DOCUMENT.read_text(encoding="utf-8")
    if "--check" not in sys.argv[1:]:
        DOCUMENT.write_text(with_table(text), encoding="utf-8")
    elif with_table(text) != text:
        sys.exit("docs/security.md is not what the code says: run `make security-table`")


if __name__ == "__main__":
    main()
