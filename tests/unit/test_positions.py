"""Up to where in the ledger a version of a person's state goes, through merges and splits."""

from decision.instants import FOREVER
from store.positions import BEFORE_EVERYTHING, LedgerEvent, Link, Position, position_of

ANNA, BORIS, VERA = 1, 2, 3
LATE = 1_000


def position(number: int, version: int, events: list[LedgerEvent], *links: Link) -> Position:
    """The position of a version, of an answer that came after everything."""
    return position_of(number, links, events, version, LATE)


def test_every_version_ends_with_the_last_event_that_came_into_it() -> None:
    """Several of one transaction come into the same; a roll-out makes one without an event."""
    events = [LedgerEvent(ANNA, 10, 1), LedgerEvent(ANNA, 20, 2), LedgerEvent(ANNA, 21, 2)]
    assert position(ANNA, 0, events) == Position(BEFORE_EVERYTHING, is_exact=True)
    assert position(ANNA, 1, events).known_at == 10
    assert position(ANNA, 2, events).known_at == 21
    assert position(ANNA, 3, [*events, LedgerEvent(ANNA, 30, 4)]).known_at == 21


def test_events_of_others_count_from_the_merge_on() -> None:
    """And not before, however low their versions are."""
    events = [
        LedgerEvent(ANNA, 10, 1),
        LedgerEvent(BORIS, 15, 1),
        LedgerEvent(BORIS, 16, 2),
        # Boris is merged into Anna: recorded under him, above both.
        LedgerEvent(BORIS, 20, 3),
        LedgerEvent(BORIS, 30, 4),
    ]
    merge = Link(BORIS, ANNA, 20, FOREVER)
    assert position(ANNA, 1, events, merge).known_at == 10
    assert position(ANNA, 3, events, merge).known_at == 20
    assert position(ANNA, 4, events, merge).known_at == 30
    assert position(BORIS, 2, events, merge).known_at == 16


def test_a_split_is_of_both_though_it_is_recorded_under_one() -> None:
    """Whoever stays behind answers from a state of before it, or from one of after it."""
    events = [
        LedgerEvent(ANNA, 10, 1),
        LedgerEvent(BORIS, 20, 2),
        LedgerEvent(BORIS, 30, 3),
        # The split, and what became of Boris by himself afterwards.
        LedgerEvent(BORIS, 40, 4),
        LedgerEvent(BORIS, 50, 5),
        LedgerEvent(ANNA, 60, 5),
    ]
    merge = Link(BORIS, ANNA, 20, 40)
    assert position(ANNA, 3, events, merge).known_at == 30
    assert position(ANNA, 4, events, merge).known_at == 40
    assert position(ANNA, 5, events, merge).known_at == 60
    assert position(BORIS, 5, events, merge).known_at == 50


def test_merges_chain() -> None:
    """Who is one with one who is one with somebody is that person too."""
    events = [LedgerEvent(VERA, 10, 1), LedgerEvent(VERA, 40, 4)]
    chain = (Link(VERA, BORIS, 20, FOREVER), Link(BORIS, ANNA, 30, FOREVER))
    assert position(ANNA, 4, events, *chain).known_at == 40
    assert position(ANNA, 3, events, *chain).known_at == BEFORE_EVERYTHING


def test_events_that_do_not_say_count_by_time_and_that_is_told() -> None:
    """Those of before; once one says, it is exact again."""
    events = [LedgerEvent(ANNA, 10, None), LedgerEvent(ANNA, 20, None), LedgerEvent(ANNA, 30, 7)]
    by_time = position_of(ANNA, (), events, 6, 15)
    assert by_time == Position(10, is_exact=False)
    assert position(ANNA, 7, events) == Position(30, is_exact=True)
