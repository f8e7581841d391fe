"""Generated probes, and whole scenarios.

What lives here: probes at the instants where answers change, and the plain seeded
generator of scenarios. What must not: how steps are made (random_steps.py).
"""

from typing import Any, Final

from tests.model.choices import Choices, SeededChoices, chance, pick, some
from tests.model.instants import format_instant, parse_instant
from tests.model.naive import LATEST
from tests.model.palette import CHANNELS, DATASETS, PARTNERS, PURPOSES
from tests.model.random_steps import ScenarioBuilder
from tests.model.scopes import Scope
from tests.model.world import World

CHECK_FROM: Final = parse_instant("2040-01-01T00:00:00Z")
"""Checks name only instants from here on, which are in the future whenever they are asked."""

STEPS_MIN: Final = 8
STEPS_SPREAD: Final = 24
PROBES: Final = 40


def random_scenario(seed: int) -> dict[str, Any]:
    """A scenario from a seed: steps and probes in the shape of a case file, without `expect`."""
    return scenario(SeededChoices(seed))


def scenario(choices: Choices, probes: int = PROBES) -> dict[str, Any]:
    """A scenario from a source of choices."""
    builder = ScenarioBuilder(choices)
    builder.add_first_steps()
    for _ in range(STEPS_MIN + choices.below(STEPS_SPREAD)):
        builder.add_next_step()
    return {"steps": builder.steps, "probes": [probe(builder) for _ in range(probes)]}


def probe(builder: ScenarioBuilder) -> dict[str, Any]:
    """A probe of what the builder has recorded so far."""
    choices = builder.choices
    strangers = ("newcomer", "nobody")
    customer = builder.palette.customers[0]
    if chance(choices, 45):
        customer = pick(choices, strangers if chance(choices, 8) else builder.palette.customers)
    check = chance(choices, 35)
    known = LATEST if check or chance(choices, 50) else _known_after_step(builder)
    scope, instants = _matters(builder, builder.system.world(customer, known))
    found = {"customer": customer} | _question(builder, scope)
    if check and scope.kind != "process":
        found["via"] = "check"
        future = [one for one in instants if one >= CHECK_FROM]
        if future and chance(choices, 80):
            found["at"] = format_instant(max(CHECK_FROM, _beside(choices, pick(choices, future))))
        return found
    found["via"] = "explain"
    if known != LATEST:
        found["known_after_step"] = known
    found["valid_at"] = format_instant(_beside(choices, pick(choices, instants)))
    return found


def _known_after_step(builder: ScenarioBuilder) -> int:
    """A step, more often a late one."""
    count = len(builder.steps)
    return count - 1 - min(builder.choices.below(count), builder.choices.below(count))


def _matters(builder: ScenarioBuilder, world: World) -> tuple[Scope, list[int]]:
    """A scope and the instants to ask about it: mostly of a grant that there is."""
    choices = builder.choices
    instants = [parse_instant(one) for one in builder.palette.instants]
    grants = world.grants()
    if grants and not chance(choices, 20):
        grant = pick(choices, grants)
        scope = pick(choices, sorted(grant.scopes))
        instants = [] if chance(choices, 60) else instants
        return scope, sorted({grant.obtained_at, *world.boundaries_of(scope), *instants})
    contact = Scope("contact", pick(choices, PURPOSES), channel=pick(choices, CHANNELS))
    share = Scope(
        "share",
        pick(choices, PURPOSES),
        partner=pick(choices, PARTNERS),
        dataset=pick(choices, DATASETS),
    )
    return pick(choices, (contact, share, Scope("process", pick(choices, PURPOSES)))), instants


def _beside(choices: Choices, instant: int) -> int:
    """The instant itself as a rule, else a microsecond before or after."""
    return instant + pick(choices, (0, 0, -1, 1))


def _question(builder: ScenarioBuilder, scope: Scope) -> dict[str, Any]:
    """The question for a scope; for several data sets at times."""
    choices = builder.choices
    found: dict[str, Any] = {"ask": scope.kind, "purpose": scope.purpose}
    if scope.kind == "contact":
        return found | {"channel": scope.channel}
    if scope.kind == "share":
        found["partner"] = scope.partner
        if chance(choices, 40):
            return found | {"datasets": some(choices, DATASETS, len(DATASETS))}
        return found | {"dataset": scope.dataset}
    return found
