"""Roles and callers: the words in which everything else here speaks.

What lives here: reading a role, and what is known of a caller. What a role may do is in `table`.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final, NamedTuple

from decision.errors import InvalidArgumentError
from decision.event_rules import check_identifier


class RoleKind(Enum):
    """What callers may be. A partner and a customer are one in particular."""

    DECISION_READ = "decision.read"
    PARTNER = "partner"
    WRITER = "writer"
    CATALOG_EDITOR = "catalog.editor"
    CATALOG_PUBLISHER = "catalog.publisher"
    AUDITOR = "auditor"
    OPERATOR = "operator"
    CUSTOMER = "customer"

    @property
    def shown(self) -> str:
        """How a role of this kind is written."""
        return f"{self.value}:{_NAMED[self]}" if self in _NAMED else self.value


_NAMED: Final = {RoleKind.PARTNER: "<code>", RoleKind.CUSTOMER: "<id>"}
"""The kinds that name somebody, and how that is written in documents."""


class CallerRole(NamedTuple):
    """One role of a caller; `of` says which partner or customer, else it is empty."""

    kind: RoleKind
    of: str = ""


def read_role(text: str) -> CallerRole:
    """Read a role, such as "writer" or "partner:bank-2". Raises ValueError."""
    name, colon, of = text.partition(":")
    try:
        kind = RoleKind(name)
    except ValueError:
        kind = None
    if kind is None or bool(colon) != (kind in _NAMED):
        problem = f"{text!r} is no role: {', '.join(kind.shown for kind in RoleKind)} are"
        raise ValueError(problem)
    if kind in _NAMED:
        try:
            check_identifier(name, of)
        except InvalidArgumentError as error:
            raise ValueError(str(error)) from error
    return CallerRole(kind, of)


CUSTOMER_NAME: Final = "customer"
"""What stands for the name of every customer wherever it is kept: their own is personal data."""

NAMELESS: Final = "somebody without a role"
UNIDENTIFIED: Final = "somebody unidentified"
OTHERS: Final = "others"

RESERVED_NAMES: Final = frozenset({CUSTOMER_NAME, NAMELESS, UNIDENTIFIED, OTHERS})
"""What is recorded and logged instead of a name may be nobody's own."""

NAME_LENGTH_MAX: Final = 128


def is_name(text: str) -> bool:
    """Tell whether a caller can be known by this: 1 to 128 characters that can be shown in a line.

    A character that is none, such as half of one, could not be kept in the ledger, and what begins
    a new line somewhere could be taken for another one in a log.
    """
    return (
        0 < len(text) <= NAME_LENGTH_MAX
        and text.isprintable()
        and text == text.strip()
        and text not in RESERVED_NAMES
    )


class CallerLimits(NamedTuple):
    """How much one caller may do; 0: as much as it likes."""

    calls_per_second: int = 0
    streams: int = 0


class Caller:
    """Somebody who was identified. `key` tells callers apart, and is for nobody else to see.

    `name` is what is recorded and logged. `passes` keeps what was worked out for this caller by
    method (`service.access.gate`).
    """

    __slots__ = ("customer_ids", "key", "kinds", "limits", "name", "partners", "passes")

    def __init__(
        self, key: str, roles: Iterable[CallerRole], limits: CallerLimits | None = None
    ) -> None:
        """Know a caller by `key`; `limits` are its own, if it has any."""
        roles = frozenset(roles)
        self.key = key
        self.limits = limits
        self.kinds = frozenset(role.kind for role in roles)
        self.partners = frozenset(role.of for role in roles if role.kind is RoleKind.PARTNER)
        self.customer_ids = frozenset(role.of for role in roles if role.kind is RoleKind.CUSTOMER)
        if self.customer_ids:
            self.name = CUSTOMER_NAME
        else:
            # Whoever has no role may be a customer, whose name nobody shall read in a log.
            self.name = key if roles else NAMELESS
        self.passes: dict[str, object] = {}


def roles_in(texts: Iterable[object]) -> frozenset[CallerRole]:
    """Give the roles among what an issuer says, which may speak of other systems' roles too."""
    found = set()
    for text in texts:
        if isinstance(text, str):
            try:
                found.add(read_role(text))
            except ValueError:
                continue
    return frozenset(found)


Matcher = tuple[str, str]
"""What identifies a caller: the kind of a name, such as "uri" or "subject", and the name."""

Callers = Mapping[Matcher, Caller]
