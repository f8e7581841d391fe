"""Runs a case file through the naive model.

What lives here: where the case files are, and the comparison of a case with the model.
What must not: the meaning of anything.
"""

import json
from pathlib import Path
from typing import Any, Final

from tests.model.instants import parse_instant
from tests.model.naive import NaiveSystem, Refused

ROOT: Final = Path(__file__).resolve().parents[2]
HAND_WRITTEN: Final = ROOT / "tests" / "cases" / "hand_written"
SHARED: Final = ROOT.parent / "shared" / "cases"

CASES_NOW: Final = parse_instant("2027-01-01T00:00:00Z")
"""What the cases are asked at: their expected answers at now hold until the end of 2027."""


def case_files() -> list[Path]:
    """The copies of the hand-written cases, and the shared cases where they are at hand."""
    return sorted([*HAND_WRITTEN.glob("*.json"), *SHARED.glob("*.json")])


def disagreements(case: dict[str, Any], now: int = CASES_NOW) -> list[str]:
    """Where the naive model and a case differ, one sentence each."""
    system = NaiveSystem()
    found = []
    for number, step in enumerate(case["steps"]):
        status = _status_of(system, step)
        wanted = step.get("expect_error", "REPEATED" if step.get("repeat") else "RECORDED")
        if status != wanted:
            found.append(f"step {number}: {status} instead of {wanted}")
    for number, probe in enumerate(case["probes"]):
        answer = system.ask(probe, now)
        if answer != probe["expect"]:
            found.append(f"probe {number}: {answer} instead of {probe['expect']}")
    return found


def load_case(path: Path) -> dict[str, Any]:
    """The content of a case file."""
    case: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return case


def _status_of(system: NaiveSystem, step: dict[str, Any]) -> str:
    try:
        return "RECORDED" if system.apply(step) else "REPEATED"
    except Refused as refusal:
        return refusal.status
