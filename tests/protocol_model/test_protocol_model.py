"""The protocol has no stale ALLOW within its bounds, and each of its clauses is needed.

What lives here: the bounds of each exploration. Run with `-rP` to see states, times and traces. A
clause is tried only within bounds in which the whole protocol is explored as well: else a stale
ALLOW might be the bounds' finding and not the clause's.
"""

from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any, Final, NamedTuple

import pytest

from tests.protocol_model import (
    caching,
    guarding,
    joining,
    leasing_state,
    restoring_state,
    timing,
)
from tests.protocol_model.caching import Caching
from tests.protocol_model.explorer import Exploration, TooManyStatesError, explore
from tests.protocol_model.guarding import Guarding
from tests.protocol_model.joining import Joining
from tests.protocol_model.leasing import Leasing
from tests.protocol_model.restoring import Restoring
from tests.protocol_model.timing import Timing


class Bounded(NamedTuple):
    """A model with its bounds; hashable, so that each is explored once."""

    name: str
    make: Callable[..., Any]
    bounds: tuple[tuple[str, Any], ...] = ()


def bounded(name: str, make: Callable[..., Any], **bounds: object) -> Bounded:
    """Name a model with its bounds."""
    return Bounded(name, make, tuple(sorted(bounds.items())))


LEASING: Final = bounded("leasing", Leasing)
TWO_WRITERS: Final = bounded(
    "leasing, two writers", Leasing, writers=2, renewals_max=1, are_reads_atomic=True
)
TWO_PROCESSES: Final = bounded(
    "leasing, two processes", Leasing, processes=2, renewals_max=1, are_reads_atomic=True
)
GUARDING: Final = [
    bounded(f"guarding, {history.name}", Guarding, history=history)
    for history in guarding.HISTORIES
]
CACHING: Final = [
    bounded(f"caching, {history.name}", Caching, messages_max=1, history=history)
    for history in caching.HISTORIES
]
TWO_MESSAGES: Final = bounded(
    "caching, two messages", Caching, failures_max=1, saves_max=0, incarnations_max=2
)
PRUNED: Final = bounded(
    "caching, pruned",
    Caching,
    failures_max=1,
    messages_max=1,
    incarnations_max=2,
    is_pruned=True,
)
RESTORING: Final = bounded("restoring", Restoring, renewals_max=1, harmless_max=0)
RENEWED: Final = bounded(
    "restoring, two renewals",
    Restoring,
    harmless_max=0,
    are_messages_delayed=False,
    is_backup_empty=True,
)
OVERTAKEN: Final = bounded(
    "restoring, a write is lost",
    Restoring,
    renewals_max=1,
    are_messages_delayed=False,
    is_backup_empty=True,
)
TWICE: Final = bounded(
    "restoring, twice",
    Restoring,
    renewals_max=1,
    harmless_max=0,
    restores_max=2,
    are_messages_delayed=False,
    is_backup_empty=True,
)
RAISED: Final = bounded(
    "restoring, only raised",
    Restoring,
    renewals_max=1,
    harmless_max=0,
    restores_max=0,
    raises_max=1,
    are_messages_delayed=False,
)
LATE_BATCH: Final = bounded(
    "restoring, a late batch",
    Restoring,
    renewals_max=1,
    harmless_max=0,
    restores_max=0,
    are_messages_delayed=False,
    is_late_batch_about=True,
)
JOINING: Final = bounded("joining", Joining)
TIMING: Final = bounded("timing", Timing)

WHOLE: Final = [
    *(LEASING, TWO_WRITERS, TWO_PROCESSES, *GUARDING, *CACHING, TWO_MESSAGES, PRUNED),
    *(RESTORING, RENEWED, OVERTAKEN, TWICE, RAISED, LATE_BATCH, JOINING, TIMING),
]

NEEDED: Final[list[tuple[Enum, Bounded]]] = [
    *(
        (
            clause,
            {
                leasing_state.Clause.ONLY_ADDRESSEE_ANSWERS: TWO_PROCESSES,
                leasing_state.Clause.REPEATED_EVENT_ANEW: TWO_WRITERS,
            }.get(clause, LEASING),
        )
        for clause in leasing_state.Clause
    ),
    *((clause, GUARDING[0]) for clause in guarding.Clause),
    *(
        (
            clause,
            {
                caching.Clause.OTHER_LIFE_ABSENT: CACHING[0],
                caching.Clause.PRUNED_MEANS_NEW_LIFE: PRUNED,
            }.get(clause, TWO_MESSAGES),
        )
        for clause in caching.Clause
    ),
    *(
        (
            clause,
            {
                restoring_state.Clause.EPOCH_NEVER_REPEATS: TWICE,
                restoring_state.Clause.EPOCHS_EQUAL: OVERTAKEN,
                restoring_state.Clause.EARLIER_FLOORS_KEPT: RAISED,
                restoring_state.Clause.COUNTER_NEVER_REPEATS: RENEWED,
                restoring_state.Clause.BATCH_OF_ITS_EPOCH: LATE_BATCH,
            }.get(clause, RESTORING),
        )
        for clause in restoring_state.Clause
    ),
    *((clause, JOINING) for clause in joining.Clause),
    *((clause, TIMING) for clause in timing.Clause),
]
"""Each clause with bounds within which its absence shows."""

SPARE: Final[list[tuple[Enum, Bounded]]] = [
    *((spare, LEASING) for spare in leasing_state.Spare),
    *((spare, model) for spare in guarding.Spare for model in GUARDING),
    *((spare, TWO_MESSAGES) for spare in caching.Spare),
    *((spare, model) for spare in restoring_state.Spare for model in (RESTORING, RAISED)),
]


@cache
def explored(model: Bounded, *without: Enum) -> Exploration:
    """Explore a model with some clauses switched off."""
    return explore(model.make(*without, **dict(model.bounds)))


def names_of(cases: list[tuple[Enum, Bounded]]) -> list[str]:
    """Name the tests of some clauses by model and clause."""
    return [f"{model.name.replace(', ', '-')}-{clause.name}" for clause, model in cases]


@pytest.mark.parametrize("model", WHOLE, ids=lambda model: model.name)
def test_protocol_has_no_stale_allow(model: Bounded) -> None:
    """No state within the bounds lets a check after EFFECTIVE answer ALLOW from before."""
    exploration = explored(model)
    print(f"{model.name}: {exploration}")
    assert exploration.is_safe, str(exploration)


@pytest.mark.parametrize(("clause", "model"), NEEDED, ids=names_of(NEEDED))
def test_clause_is_needed(clause: Enum, model: Bounded) -> None:
    """Without the clause, and only without it, a shortest trace leads to a stale ALLOW."""
    without = explored(model, clause)
    print(f"without '{clause.value}': {without}")
    assert not without.is_safe
    assert explored(model).is_safe


@pytest.mark.parametrize(("spare", "model"), SPARE, ids=names_of(SPARE))
def test_spare_part_is_not_needed(spare: Enum, model: Bounded) -> None:
    """Without the spare part there is still no stale ALLOW within the bounds."""
    exploration = explored(model, spare)
    print(f"{model.name} without '{spare.value}': {exploration}")
    assert exploration.is_safe, str(exploration)


def test_search_gives_up_aloud() -> None:
    """A search that does not see every state never passes for a safe one."""
    with pytest.raises(TooManyStatesError):
        explore(Leasing(), states_max=10)
