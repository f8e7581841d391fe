"""Reading the grants of a document's wordings: which scopes each gives.

What lives here: the entries of `grants` and the limits of how many scopes they may come to. An
entry names partners and data sets, and grants every pair of them: a short list comes to a great
many scopes, so they are counted before one of them is built.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple, TypeVar

from decision.catalog import Code, Partner
from decision.document_reader import KnownCodes, Node
from decision.scopes import Scope, contact, process, share

_Listed = TypeVar("_Listed")

SCOPES_PER_WORDING_MAX: Final = 10_000
"""Scopes of one wording, one that is listed twice counted twice.

A consent to it is a grant of each, which every fold of the customer walks through.
"""

SCOPES_PER_CATALOG_MAX: Final = 10_000
"""Different scopes of all wordings: a customer may hold, and a preview may list, each of them."""

SCOPES_LISTED_MAX: Final = 200_000
"""Scopes of all wordings, one counted for each wording that lists it.

They are built whenever the catalog is read, and the catalog of every process keeps them. It leaves
room for a thousand wordings of two hundred scopes.
"""

_REMEDY: Final = "name fewer partners, data sets or channels, or take them together"


class _Grant(NamedTuple):
    """What one entry comes to; the scopes are built as they are asked for."""

    scope_count: int
    scopes: Iterable[Scope]


class GrantsReader:
    """Reads the grants of one wording after the other, and keeps count over all of them."""

    def __init__(
        self,
        purposes: KnownCodes[Code],
        channels: KnownCodes[Code],
        partners: KnownCodes[Partner],
        datasets: KnownCodes[Code],
    ) -> None:
        """Take the codes that grants may name."""
        self._purposes = purposes
        self._channels = channels
        self._partners = partners
        self._datasets = datasets
        self._listed_count = 0
        # Equal scopes of different wordings are kept as one object.
        self._scopes: dict[Scope, Scope] = {}

    def read(self, wording: Node) -> tuple[Scope, ...]:
        """Give the scopes of a wording, each once; none when a limit is exceeded."""
        grants = [self._read_grant(node) for node in wording.nodes("grants", required=True)]
        count = sum(grant.scope_count for grant in grants)
        if count > SCOPES_PER_WORDING_MAX:
            problem = f"comes to {count} scopes, {SCOPES_PER_WORDING_MAX} are the most"
            wording.note("grants", problem, _REMEDY)
            return ()
        self._listed_count += count
        if self._listed_count > SCOPES_LISTED_MAX:
            return ()
        listed = (scope for grant in grants for scope in grant.scopes)
        return tuple(dict.fromkeys(self._scopes.setdefault(scope, scope) for scope in listed))

    def refuse_too_many(self, root: Node) -> None:
        """Note when all wordings together come to too many scopes; to be called last."""
        if self._listed_count > SCOPES_LISTED_MAX:
            problem = (
                f"come to {self._listed_count} scopes, counted for each wording, "
                f"{SCOPES_LISTED_MAX} are the most"
            )
            root.note("wordings", problem, _REMEDY)
        elif len(self._scopes) > SCOPES_PER_CATALOG_MAX:
            problem = (
                f"come to {len(self._scopes)} different scopes, "
                f"{SCOPES_PER_CATALOG_MAX} are the most"
            )
            root.note("wordings", problem, _REMEDY)

    def _read_grant(self, node: Node) -> _Grant:
        purpose = node.code("purpose", self._purposes)
        by_channel = node.has("channels")
        # Both are looked at, so that neither passes for an unknown field.
        by_partner = any([node.has("partners"), node.has("datasets")])
        if by_channel and by_partner:
            node.note("channels", "stands beside partners or datasets", "write two entries")
            return _Grant(0, ())
        if by_channel:
            channels = _not_empty(node, "channels", self._channels)
            return _Grant(len(channels), (contact(purpose, channel) for channel in channels))
        if by_partner:
            partners = _not_empty(node, "partners", self._partners)
            datasets = _not_empty(node, "datasets", self._datasets)
            return _Grant(
                len(partners) * len(datasets),
                (share(purpose, partner, dataset) for partner in partners for dataset in datasets),
            )
        return _Grant(1, (process(purpose),))


def _not_empty(node: Node, field: str, known: KnownCodes[_Listed]) -> tuple[str, ...]:
    if node.raw(field) == []:
        node.note(field, "is empty", f"list at least one {known.what}, or leave the field out")
        return ()
    return node.codes(field, known)
