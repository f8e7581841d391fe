"""`python -m tests.audit`: look for known vulnerabilities in the libraries of constraints.txt.

What lives here: asking pip-audit, and telling apart what it answers: that there are none, that
there are some, and that nobody could be asked. Only the first is a success; the last has a status
of its own, so that whoever has no network can go on knowingly.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, NamedTuple

CONSTRAINTS: Final = Path(__file__).parents[1] / "constraints.txt"

SECONDS_MAX: Final = 300.0
ANSWER_SECONDS_MAX: Final = 15
SERVICES: Final = ("pypi", "osv")
"""Whom pip-audit can ask; the second when the first does not answer."""


class Outcome(IntEnum):
    """How an audit ended, and its exit status."""

    CLEAN = 0
    VULNERABLE = 1
    NOT_AUDITED = 3


class Audit(NamedTuple):
    """What an audit found, with lines that say it."""

    outcome: Outcome
    lines: Sequence[str]


def judged(answer: str) -> Audit:
    """Judge what pip-audit answered as JSON. What it left out was not audited."""
    try:
        dependencies: list[dict[str, Any]] = list(json.loads(answer)["dependencies"])
    except (ValueError, KeyError, TypeError):
        return Audit(
            Outcome.NOT_AUDITED, ["NOT AUDITED: nobody answered who knows vulnerabilities"]
        )
    vulnerable = [
        f"VULNERABLE: {one['name']} {one['version']}: {known['id']}"
        f" (mended in {', '.join(known['fix_versions']) or 'no version yet'})"
        for one in dependencies
        for known in one.get("vulns", ())
    ]
    left_out = [one["name"] for one in dependencies if "vulns" not in one]
    audited = len(dependencies) - len(left_out)
    lines = [*vulnerable, f"audited: {audited} libraries, {len(vulnerable)} known vulnerabilities"]
    if left_out or not audited:
        lines.append(f"NOT AUDITED: {', '.join(left_out) or 'anything'}")
    if vulnerable:
        return Audit(Outcome.VULNERABLE, lines)
    return Audit(Outcome.NOT_AUDITED if left_out or not audited else Outcome.CLEAN, lines)


def audit() -> Audit:
    """Ask whoever answers."""
    last = Audit(Outcome.NOT_AUDITED, ["NOT AUDITED: pip-audit is not installed"])
    for service in SERVICES:
        command = [
            *(sys.executable, "-m", "pip_audit", "--requirement", str(CONSTRAINTS)),
            # Every library is named with its version: nothing has to be resolved or installed.
            *("--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json"),
            *("--vulnerability-service", service, "--timeout", str(ANSWER_SECONDS_MAX)),
        ]
        try:
            asked = subprocess.run(  # our own interpreter
                command, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
            )
        except subprocess.TimeoutExpired:
            last = Audit(Outcome.NOT_AUDITED, [f"NOT AUDITED: {service} takes too long"])
            continue
        if "No module named pip_audit" in asked.stderr:
            return last
        last = judged(asked.stdout)
        if last.outcome is not Outcome.NOT_AUDITED:
            return last
    return last


def main() -> int:
    """Audit, say what was found, and give the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.audit", description=__doc__)
    parser.add_argument(
        "--go-on-without-data",
        action="store_true",
        help="be content when nobody could be asked, which is said all the same",
    )
    arguments = parser.parse_args()
    found = audit()
    for line in found.lines:
        print(line)
    if found.outcome is Outcome.NOT_AUDITED and arguments.go_on_without_data:
        return 0
    return found.outcome


if __name__ == "__main__":
    sys.exit(main())
