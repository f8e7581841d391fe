"""What one event took away, for whoever has to be told of it.

What lives here: which floors an event carries, of those that its transaction gave. What was lost is
worked out by `state_writing`, and told by whoever acknowledges the event (`design.md`, "No stale
ALLOW", step 6).
"""

from collections.abc import Sequence

from decision.catalog import Catalog, Effect
from decision.events import Body, Consent, Lifting, Purchase, effective_at
from decision.fold import effect_of
from decision.instants import Instant
from store.floors import CustomerFloor, Narrowing
from store.outbox import narrowed_at
from store.subjects import Member
from store.writing import Written


class FloorsOfMembers:
    """What a transaction took away, by customer id: it may be thousands of people's."""

    def __init__(self, written: Written, catalog: Catalog) -> None:
        """Sort what was written under `catalog`."""
        self._catalog = catalog
        self._narrowing = written.narrowing
        self._losing = _by_customer_id(written.narrowing.customers)
        self._standing = _by_customer_id(written.standing)
        self._nothing = Narrowing(
            written.narrowing.epoch, narrowed_at=written.narrowing.narrowed_at
        )

    def narrowing_of(
        self, body: Body, recorded_at: Instant, members: Sequence[Member]
    ) -> Narrowing:
        """Give what an event of a person took away, of all that its transaction did.

        An event of a kind that takes away names every customer id of the person, also when it took
        nothing this time: what it says may have been said before, by an event of which not
        everybody has been told yet, and it is to be effective nevertheless.
        """
        floors = self._standing if _may_take_away(body, self._catalog) else self._losing
        if not floors:
            return self._nothing
        return Narrowing(
            self._narrowing.epoch,
            [
                floor
                for member in members
                if member.customer_id
                for floor in floors.get(member.customer_id, ())
            ],
            narrowed_at=max(self._narrowing.narrowed_at, lost_by(body, recorded_at)),
        )


def _by_customer_id(floors: Sequence[CustomerFloor]) -> dict[str, list[CustomerFloor]]:
    sorted_out: dict[str, list[CustomerFloor]] = {}
    for floor in floors:
        sorted_out.setdefault(floor.customer_id, []).append(floor)
    return sorted_out


def lost_by(body: Body, recorded_at: Instant) -> Instant:
    """Give which instant is not the future any more once an event counts that may take away."""
    happened_at = effective_at(body)
    return recorded_at if happened_at is None else narrowed_at(recorded_at, happened_at)


def _may_take_away(body: Body, catalog: Catalog) -> bool:
    match body:
        case Purchase() | Lifting():
            return False
        case Consent():
            return effect_of(catalog, body) is not Effect.GRANTS
        case _:
            return True
