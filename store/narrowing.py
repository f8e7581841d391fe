"""What one event took away, for whoever has to be told of it.

What lives here: which floors an event carries, of those that its transaction gave. What was lost is
worked out by `states`, and told by whoever acknowledges the event (`design.md`, "No stale ALLOW",
step 6).
"""

from collections.abc import Sequence
from dataclasses import replace

from decision.catalog import Catalog, Effect
from decision.events import Body, Consent, Lifting, Purchase, effective_at
from decision.fold import effect_of
from decision.instants import Instant
from store.floors import Narrowing
from store.outbox import narrowed_at
from store.subjects import Member
from store.writing import Written


def narrowing_of(
    body: Body,
    recorded_at: Instant,
    written: Written,
    catalog: Catalog,
    members: Sequence[Member],
) -> Narrowing:
    """Give what an event of a person took away, of all that its transaction did.

    An event of a kind that takes away names every customer id of the person, also when it took
    nothing this time: what it says may have been said before, by an event of which not everybody
    has been told yet, and it is to be effective nevertheless.
    """
    floors = written.standing if _may_take_away(body, catalog) else written.narrowing.customers
    customer_ids = {member.customer_id for member in members}
    return replace(
        written.narrowing,
        customers=[floor for floor in floors if floor.customer_id in customer_ids],
        narrowed_at=max(written.narrowing.narrowed_at, lost_by(body, recorded_at)),
    )


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
