"""Floors: what a cached record must at least show before it counts.

What lives here: what a committed write took away, as every decision process has to be told of it
(`design.md`, "No stale ALLOW", steps 4 and 6). Who tells is the writer, who heeds it is the guard.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from decision.instants import BEGINNING, Instant

NOW_AHEAD_MICROSECONDS_MAX: Final = 5_000_000
"""What is lost so shortly after it was recorded counts as lost now.

The clock of who sent the event may be ahead of ours: what somebody revoked "now" is revoked when
the revocation is acknowledged. What is dated later than that is meant to be in the future.
"""


class CustomerFloor(NamedTuple):
    """A customer id of which something was taken away.

    Its record counts if it shows this state version or a later one, or if its shard has been
    applied up to `seq`.
    """

    customer_id: str
    seq: int
    version: int

    def joined(self, other: "CustomerFloor") -> "CustomerFloor":
        """Give the floor that demands what both demand."""
        return CustomerFloor(
            self.customer_id, max(self.seq, other.seq), max(self.version, other.version)
        )


def joined_floors(
    floors: Mapping[str, CustomerFloor], added: Iterable[CustomerFloor]
) -> dict[str, CustomerFloor]:
    """Give floors by customer id, each of which demands what all of its customer id demand."""
    joined = dict(floors)
    for floor in added:
        present = joined.get(floor.customer_id)
        joined[floor.customer_id] = floor if present is None else present.joined(floor)
    return joined


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What a committed write took away, in one epoch of the ledger.

    `publication` is the number of the publication that was recorded, 0 if it was none: from then on
    answers rest on that catalog or a later one. No process may take it to be earlier than
    `narrowed_at`, which is as late as the latest instant that counts as now (see
    NOW_AHEAD_MICROSECONDS_MAX).
    """

    epoch: int
    customers: Sequence[CustomerFloor] = ()
    publication: int = 0
    narrowed_at: Instant = BEGINNING

    @property
    def is_empty(self) -> bool:
        """Whether nothing was taken away."""
        return not self.customers and not self.publication


def joined_narrowings(narrowings: Sequence[Narrowing]) -> Narrowing:
    """Give one narrowing of customers for several of one epoch, each customer id in it once."""
    floors = joined_floors({}, (floor for one in narrowings for floor in one.customers))
    return Narrowing(
        narrowings[0].epoch,
        list(floors.values()),
        narrowed_at=max(narrowing.narrowed_at for narrowing in narrowings),
    )
