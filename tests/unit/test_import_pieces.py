"""Pieces of an import: nothing is lost, and what has to stay in order stays together."""

import math
from collections import Counter
from itertools import count, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from maywe.v1 import event_pb2, writer_pb2

from service.import_pieces import EVENTS_PER_PIECE, Cut, cut, runs_of
from store.sharding import SHARD_COUNT, shard_of


def bought(customer_id: str, event_id: str) -> event_pb2.Event:
    """A purchase, of which only the ids matter."""
    return event_pb2.Event(
        purchase=event_pb2.RecordPurchaseRequest(event_id=event_id, customer_id=customer_id)
    )


def items_of(events: list[event_pb2.Event]) -> list[writer_pb2.ImportItem]:
    """Events at positions that rise."""
    return [
        writer_pb2.ImportItem(position=position, event=event)
        for position, event in enumerate(events, start=1)
    ]


def items_by_lane(made: Cut) -> dict[int, list[writer_pb2.ImportItem]]:
    """The items of each piece."""
    return {
        lane: list(writer_pb2.ImportChunk.FromString(payload).items)
        for lane, payload in made.pieces.left.items()
    }


def many(first: int, events: dict[str, str]) -> list[writer_pb2.ImportItem]:
    """Enough purchases of others for two lanes, with some of our own by event id."""
    others = [
        bought(f"customer {number}", f"event {number}")
        for number in range(first, first + EVENTS_PER_PIECE * 2 - len(events))
    ]
    ours = [bought(customer_id, event_id) for event_id, customer_id in events.items()]
    return items_of([*others, *ours])


ids = st.integers(0, 40).map(str)
chunks = st.lists(st.builds(bought, ids, ids), min_size=1, max_size=60).map(
    # Enough for several pieces; each copy is of other people.
    lambda events: [
        bought(f"{copy} {event.purchase.customer_id}", f"{copy} {event.purchase.event_id}")
        for copy in range(1 + 3 * EVENTS_PER_PIECE // len(events))
        for event in events
    ]
)


@settings(max_examples=20, deadline=None)
@given(chunks)
def test_pieces_hold_every_item_once_and_keep_what_belongs_together(
    events: list[event_pb2.Event],
) -> None:
    """An event id is in one piece, and so are a customer's ids that no other has; all in order."""
    items = items_of(events)
    pieces = items_by_lane(cut(items)).values()
    positions = [item.position for piece in pieces for item in piece]
    assert sorted(positions) == [item.position for item in items]
    pieces_by_event: dict[str, set[int]] = {}
    pieces_by_customer: dict[str, set[int]] = {}
    uses = Counter(item.event.purchase.event_id for item in items)
    for number, piece in enumerate(pieces):
        seen: dict[str, int] = {}
        for item in piece:
            bought_by = item.event.purchase
            pieces_by_event.setdefault(bought_by.event_id, set()).add(number)
            if uses[bought_by.event_id] == 1:
                pieces_by_customer.setdefault(bought_by.customer_id, set()).add(number)
            for key in (f"event {bought_by.event_id}", f"customer {bought_by.customer_id}"):
                if uses[bought_by.event_id] == 1 or key.startswith("event"):
                    assert seen.get(key, 0) < item.position
                    seen[key] = item.position
    assert all(len(numbers) == 1 for numbers in pieces_by_event.values())
    assert all(len(numbers) == 1 for numbers in pieces_by_customer.values())


@settings(max_examples=10, deadline=None)
@given(st.integers(EVENTS_PER_PIECE + 1, 12 * EVENTS_PER_PIECE))
def test_pieces_are_alike_in_size(item_count: int) -> None:
    """No piece is a mere rest, nor much more than its share."""
    items = items_of([bought(str(number), str(number)) for number in range(item_count)])
    sizes = [len(some) for some in items_by_lane(cut(items)).values()]
    assert len(sizes) == math.ceil(item_count / EVENTS_PER_PIECE)
    share = item_count / len(sizes)
    assert share / 2 < min(sizes) <= max(sizes) < share * 3 / 2


def test_a_cut_may_follow_where_everybody_has_the_lane_of_before() -> None:
    """Events of one customer stay in order, and so do those of one id that one customer has."""
    before = cut(many(0, {"e1": "anna", "e2": "anna"}))
    assert cut(many(10_000, {"e2": "anna", "e3": "anna"})).may_follow(before)


def of_different_lanes() -> tuple[str, str]:
    """Two customers whose events are in different ones of two lanes."""
    return next(
        (one, other)
        for one, other in pairwise(map(str, count(0)))
        if (shard_of(one) < SHARD_COUNT // 2) != (shard_of(other) < SHARD_COUNT // 2)
    )


def test_a_cut_has_to_wait_where_an_event_id_was_in_another_lane() -> None:
    """The first of two events with one id counts, whosever the second is."""
    anna, boris = of_different_lanes()
    before = cut(many(0, {"e1": anna}))
    assert not cut(many(10_000, {"e1": boris})).may_follow(before)


def test_a_cut_has_to_wait_where_one_event_id_is_used_for_two_customers() -> None:
    """The second of them is in the lane of the first, and so not in that of its other events.

    It counts if the first is refused. Then whatever else is of its customer has to stay in order.
    """
    anna, boris = of_different_lanes()
    bought_by_boris = cut(many(10_000, {"e2": boris}))
    two_users = [*many(0, {"e1": anna}), *items_of([bought(boris, "e1")])]
    with_stray = cut(two_users[1:])
    assert not bought_by_boris.may_follow(with_stray)
    assert not with_stray.may_follow(bought_by_boris)


def test_a_cut_of_another_number_of_lanes_has_to_wait() -> None:
    """Its lanes hold other customers."""
    two = cut(many(0, {}))
    three = cut([*many(0, {}), *many(10_000, {})][: EVENTS_PER_PIECE * 2 + 1])
    assert (two.lane_count, three.lane_count) == (2, 3)
    assert not three.may_follow(two)
    assert not two.may_follow(three)


def test_voids_merges_and_splits_part_what_stands_around_them() -> None:
    """What comes before is a run of its own, and so is what comes after."""
    merge = event_pb2.Event(merge=event_pb2.MergeCustomersRequest(event_id="m"))
    void = event_pb2.Event(voiding=event_pb2.VoidEventRequest(event_id="v"))
    items = items_of([bought("a", "1"), bought("b", "2"), merge, void, bought("a", "3")])
    runs = [(is_identity, [item.position for item in run]) for is_identity, run in runs_of(items)]
    assert runs == [(False, [1, 2]), (True, [3, 4]), (False, [5])]
