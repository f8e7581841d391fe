"""Running one case file against a whole system, and telling everything that differs.

What lives here: the comparison of outcomes with what a case expects. What must not: how anything is
sent, and on which servers.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tests.cases.answers import differs
from tests.cases.messages import UnknownShapeError, known_fields
from tests.cases.remote import RemoteSystem, StepRefusedError
from tests.running import RunningMaywe

Case = Mapping[str, Any]

_CASE_FIELDS: Final = frozenset({"name", "why", "steps", "probes"})
_SHOWN_CHARACTERS_MAX: Final = 400
_RECORDED: Final = "recorded"
_REPEATED: Final = "accepted as a repeat"


class UnreadableCaseError(Exception):
    """A file is not a case: it can not be read, or not as JSON, or has no steps and probes."""


def case_files(directory: Path) -> list[Path]:
    """The case files of a directory, by name."""
    return sorted(directory.glob("*.json"))


def load_case(path: Path) -> Case:
    """Read a case file. Raises UnreadableCaseError."""
    try:
        case = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnreadableCaseError(f"{path.name} can not be read: {error}") from error
    if not (
        isinstance(case, dict)
        and isinstance(case.get("steps"), list)
        and isinstance(case.get("probes"), list)
    ):
        raise UnreadableCaseError(f"{path.name} has no lists of steps and probes")
    return case


def failures(case: Case, maywe: RunningMaywe) -> Iterator[str]:
    """Run a case on a system in which nothing is recorded; a sentence for each that differs.

    After a step with another outcome than expected nothing more is run: it would only differ too.
    """
    try:
        known_fields("the case", case, _CASE_FIELDS)
    except UnknownShapeError as error:
        yield str(error)
        return
    system = RemoteSystem(maywe)
    for number, step in enumerate(case["steps"]):
        failure = _failure_of_step(system, step)
        if failure:
            yield f"step {number} {_short(step)}: {failure}"
            return
    for number, probe in enumerate(case["probes"]):
        failure = _failure_of_probe(system, probe)
        if failure:
            asked = {field: value for field, value in probe.items() if field != "expect"}
            yield f"probe {number} {_short(asked)}: {failure}"


def _failure_of_step(system: RemoteSystem, step: Mapping[str, Any]) -> str:
    expected = step.get("expect_error", _REPEATED if step.get("repeat") else _RECORDED)
    may_change = expected == _RECORDED
    before = None if may_change else system.everything_recorded()
    try:
        outcome = _RECORDED if system.apply(step) else _REPEATED
        reason = ""
    except UnknownShapeError as error:
        return str(error)
    except StepRefusedError as refusal:
        outcome, reason = refusal.status, f" ({refusal})"
    if outcome != expected:
        return f"got {outcome}{reason}, expected {expected}"
    if not may_change and system.everything_recorded() != before:
        return f"{outcome}, as expected, and yet it changed what is recorded"
    return ""


def _failure_of_probe(system: RemoteSystem, probe: Mapping[str, Any]) -> str:
    try:
        answer = system.ask(probe)
    except (UnknownShapeError, StepRefusedError) as error:
        return f"got {error}, expected {_short(probe.get('expect', {}))}"
    expected = probe.get("expect")
    if not isinstance(expected, dict) or differs(answer, expected):
        return f"got {_short(answer)}, expected {_short(expected)}"
    return ""


def _short(shape: object) -> str:
    """A shape on one line; catalogs are long, and shown up to their beginning only."""
    text = json.dumps(shape, ensure_ascii=False)
    if len(text) > _SHOWN_CHARACTERS_MAX:
        return f"{text[:_SHOWN_CHARACTERS_MAX]}…"
    return text
