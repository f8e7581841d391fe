"""Random questions to a whole system, of the one way of asking or the other.

What lives here: the generated probes of tests/model turned into what a test wants to ask. What must
not: answers.
"""

from typing import Any

from tests.model.choices import pick
from tests.model.instants import format_instant, parse_instant
from tests.model.palette import CHANNELS
from tests.model.random_probes import CHECK_FROM, probe
from tests.model.random_steps import ScenarioBuilder


def check_probe(builder: ScenarioBuilder) -> dict[str, Any]:
    """A probe via check, now or at an instant that matters and is in the future."""
    found = probe(builder)
    if found["via"] == "check":
        return found
    at = max(CHECK_FROM, parse_instant(found.pop("valid_at")))
    found.pop("known_after_step", None)
    if found["ask"] == "process":
        found |= {"ask": "contact", "channel": pick(builder.choices, CHANNELS)}
    return found | {"via": "check", "at": format_instant(at)}


def explain_probe(builder: ScenarioBuilder) -> dict[str, Any]:
    """A probe via explain, with today's knowledge or an earlier one's."""
    found = probe(builder)
    if found["via"] == "explain":
        return found
    at = found.pop("at", None) or format_instant(CHECK_FROM)
    return found | {"via": "explain", "valid_at": at}
