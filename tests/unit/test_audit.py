"""The audit of libraries never takes silence for a clean answer."""

import json

import pytest

from tests.audit import Outcome, judged

CLEAN = {"name": "a", "version": "1", "vulns": []}
VULNERABLE = {
    "name": "b",
    "version": "2",
    "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"], "aliases": [], "description": ""}],
}
LEFT_OUT = {"name": "c", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("dependencies", "outcome"),
    [
        ([CLEAN], Outcome.CLEAN),
        ([CLEAN, VULNERABLE], Outcome.VULNERABLE),
        ([VULNERABLE, LEFT_OUT], Outcome.VULNERABLE),
        ([CLEAN, LEFT_OUT], Outcome.NOT_AUDITED),
        ([LEFT_OUT], Outcome.NOT_AUDITED),
        ([], Outcome.NOT_AUDITED),
    ],
)
def test_only_libraries_that_were_all_looked_up_are_clean(
    dependencies: list[object], outcome: Outcome
) -> None:
    """One that was left out was not audited."""
    found = judged(json.dumps({"dependencies": dependencies, "fixes": []}))
    assert found.outcome is outcome
    assert ("NOT AUDITED" in "\n".join(found.lines)) == (
        outcome is Outcome.NOT_AUDITED or LEFT_OUT in dependencies
    )


@pytest.mark.parametrize("answer", ["", "Traceback", "{}", "[]", '{"dependencies": 1}'])
def test_no_answer_is_no_clean_answer(answer: str) -> None:
    """As when there is no network."""
    found = judged(answer)
    assert found.outcome is Outcome.NOT_AUDITED
    assert "NOT AUDITED" in found.lines[0]
