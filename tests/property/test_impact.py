"""The cheap test of whom a publication may concern, compared with folding everybody."""

from itertools import permutations

from decision.catalog import Catalog
from decision.errors import MayweError
from decision.fold import fold
from decision.impact import Impact
from tests.decision_system import DecisionSystem, Known
from tests.model.random_probes import random_scenario

SCENARIOS = 120
"""Enough that both outcomes come thousands of times; what they must be at least is asserted."""

TIMES_EACH_MIN = 100


def test_whom_a_publication_does_not_concern_fares_alike_under_it() -> None:
    """Who is passed over has the same grants, restrictions, waiting events and suspensions."""
    passed_over = concerned = 0
    for seed in range(SCENARIOS):
        system, customers = _after_all_steps(seed)
        for old, new in permutations(system.catalogs, 2):
            impact = Impact(old, new)
            for customer in customers:
                known = system.known(customer)
                if impact.concerns(known.events):
                    concerned += 1
                else:
                    passed_over += 1
                    assert _fares_alike(known, old, new), (seed, customer)
    assert min(passed_over, concerned) >= TIMES_EACH_MIN


def _after_all_steps(seed: int) -> tuple[DecisionSystem, list[str]]:
    scenario = random_scenario(seed)
    system = DecisionSystem()
    for step in scenario["steps"]:
        try:
            system.apply(step)
        except MayweError:
            continue
    customers = {step["customer"] for step in scenario["steps"] if "customer" in step}
    return system, sorted(customers)


def _fares_alike(known: Known, old: Catalog, new: Catalog) -> bool:
    before, after = fold(old, known.events), fold(new, known.events)
    scopes = {scope for grant in before.grants for scope in grant.endings}
    return before == after and all(
        old.suspension_of(scope) == new.suspension_of(scope) for scope in scopes
    )
