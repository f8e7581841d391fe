"""Comparing the decision package with the naive model, scenario by scenario.

What lives here: running one scenario through both and telling every difference. What must not: the
meaning of anything, and the making of scenarios.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from decision.answer import Answer
from decision.errors import MayweError
from decision.instants import FOREVER
from decision.scopes import Scope, ScopeKind
from tests.decision_system import DecisionSystem, status_of
from tests.model.document import effects_of
from tests.model.naive import NaiveSystem, Refused
from tests.model.scopes import Scope as ModelScope
from tests.model.world import Verdict, World

_CUSTOMER_FIELDS: Final = ("customer", "from", "into")


def differences(scenario: Mapping[str, Any], now: int) -> list[str]:
    """Where decision and model disagree over a scenario, a sentence each.

    Compared are the outcome of every step, the answer to every probe, and of every customer what is
    unmatched and the answers at all instants at which any answer may change.
    """
    decided, naive = DecisionSystem(), NaiveSystem()
    for number, step in enumerate(scenario["steps"]):
        ours, theirs = _outcome(decided.apply, step), _outcome(naive.apply, step)
        if ours != theirs:
            # Whatever follows would differ because of this alone.
            return [f"step {number} {step}: decision {ours}, model {theirs}"]
    found = []
    for number, probe in enumerate(scenario["probes"]):
        ours, theirs = _outcome(decided.ask, probe, now), _outcome(naive.ask, probe, now)
        if ours != theirs:
            found.append(f"probe {number} {probe}: decision {ours}, model {theirs}")
    for customer in _customers(scenario):
        found += _differences_of_person(decided, naive, customer)
    return found


def case_disagreements(case: Mapping[str, Any], now: int) -> list[str]:
    """Where the decision package and a case file differ, a sentence each."""
    system = DecisionSystem()
    found = []
    for number, step in enumerate(case["steps"]):
        outcome = _outcome(system.apply, step)
        expected = step.get("expect_error", not step.get("repeat", False))
        if outcome != expected:
            found.append(f"step {number}: {outcome} instead of {expected}")
    for number, probe in enumerate(case["probes"]):
        answer = _outcome(system.ask, probe, now)
        if answer != probe["expect"]:
            found.append(f"probe {number}: {answer} instead of {probe['expect']}")
    return found


def _outcome(do: Callable[..., object], *arguments: object) -> object:
    try:
        return do(*arguments)
    except MayweError as error:
        return status_of(error)
    except Refused as refusal:
        return refusal.status


def _customers(scenario: Mapping[str, Any]) -> list[str]:
    return sorted(
        {
            step[field]
            for step in scenario["steps"]
            for field in _CUSTOMER_FIELDS
            if isinstance(step.get(field), str)
            and not (field == "from" and step["op"] == "restrict")
        }
    )


def _differences_of_person(decided: DecisionSystem, naive: NaiveSystem, customer: str) -> list[str]:
    known, world = decided.known(customer), naive.world(customer)
    found = []
    unmatched = [entry.event_id for entry in known.folded.unmatched]
    expected_unmatched = unmatched_without_refusals(world)
    if sorted(unmatched) != sorted(expected_unmatched):
        found.append(f"{customer}: unmatched {unmatched}, model {expected_unmatched}")
    for scope in sorted({scope for grant in world.grants() for scope in grant.scopes}):
        for boundary in sorted(world.boundaries_of(scope)):
            for at in (boundary - 1, boundary):
                ours = _shown(known.answer(_scope(scope), at))
                theirs = _shown_by_model(world.answer(scope, at))
                if ours != theirs:
                    found.append(f"{customer} {scope} at {at}: {ours}, model {theirs}")
    return found


def unmatched_without_refusals(world: World) -> list[str]:
    """What the model has unmatched, without refusals: they want no wording to do what they do."""
    refusals = {
        event.event_id
        for event in world.events
        if event.operation == "consent"
        and effects_of(world.document, event.content["consent_type"]).get(event.content["value"])
        == "refuses"
    }
    return [event_id for event_id in world.unmatched() if event_id not in refusals]


def _scope(scope: ModelScope) -> Scope:
    return Scope(ScopeKind(scope.kind), scope.purpose, scope.channel, scope.partner, scope.dataset)


def _shown(answer: Answer) -> tuple[object, ...]:
    basis = answer.basis
    if basis is None:
        return (answer.reason.name,)
    wording = (basis.consent_type, basis.wording_version)
    return (answer.reason.name, answer.not_after, basis.event_id, wording, basis.ends_at)


def _shown_by_model(verdict: Verdict) -> tuple[object, ...]:
    basis = verdict.basis
    if basis is None:
        return (verdict.reason,)
    wording = (basis.consent_type, basis.wording["version"])
    ends = (min(verdict.not_after, FOREVER), min(verdict.basis_ends, FOREVER))
    return (verdict.reason, ends[0], basis.event_id, wording, ends[1])
