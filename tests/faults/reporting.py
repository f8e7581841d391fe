"""What a campaign says: a line for each fault, figures, and the one last line.

What lives here: words and figures. What they mean is the judge's.
"""

from collections.abc import Iterator
from typing import Final

from tests.faults.judging import Fault, Judgement

VIOLATIONS_SHOWN_MAX: Final = 10


def is_good(judgement: Judgement) -> bool:
    """Tell whether nothing was broken, and something was tried."""
    return not judgement.violations and bool(judgement.closings_effective and judgement.checks)


def lines_of(judgement: Judgement) -> Iterator[str]:
    """Give what a judgement comes to, the last line last."""
    yield from _faults(judgement)
    yield from _figures(judgement)
    yield from _violations(judgement)
    yield last_line(judgement)


def last_line(judgement: Judgement) -> str:
    """Give the one line with which a campaign ends."""
    return (
        f"{judgement.closings_effective} narrowings acknowledged, {judgement.checks} checks, "
        f"{judgement.faults.total()} faults, {judgement.count(Fault.STALE_ALLOW)} stale ALLOW, "
        f"{judgement.count(Fault.WRONG_DENY)} wrong DENY, {judgement.unavailable} unavailable"
    )


def _faults(judgement: Judgement) -> Iterator[str]:
    if judgement.faults:
        yield "faults injected, by kind:"
    for name, count in sorted(judgement.faults.items()):
        yield f"  {count:4}  {name}"
    for name, count in sorted(judgement.missed_faults.items()):
        yield f"     -  {name} (planned {count} times, its moment did not come)"


def _figures(judgement: Judgement) -> Iterator[str]:
    waited = sorted(judgement.effective_milliseconds)
    if waited:
        yield (
            f"narrowing to EFFECTIVE without faults: {len(waited)} times, "
            f"p50 {_quantile(waited, 0.5):.1f} ms, p99 {_quantile(waited, 0.99):.1f} ms"
        )
    yield (
        f"narrowings answered only DURABLE: {judgement.closings_durable}; "
        f"checks in calm: {judgement.checks_in_calm}, of these "
        f"{judgement.count(Fault.UNAVAILABLE_IN_CALM)} unavailable"
    )
    yield (
        f"checks while only Redis was broken: {judgement.checks_in_redis_outage}, of these "
        f"{judgement.count(Fault.UNAVAILABLE_IN_REDIS_OUTAGE)} unavailable"
    )
    by_code = ", ".join(
        f"{count} {code}" for code, count in sorted(judgement.unavailable_by_code.items())
    )
    yield f"unavailable altogether: {by_code or 'none'}"


def _violations(judgement: Judgement) -> Iterator[str]:
    for fault in Fault:
        found = [violation for violation in judgement.violations if violation.fault is fault]
        if found:
            yield f"{len(found)} times {fault.value}:"
        for violation in found[:VIOLATIONS_SHOWN_MAX]:
            yield f"  {violation.text}"
    if not judgement.closings_effective or not judgement.checks:
        yield "nothing was proven: there is no EFFECTIVE narrowing, or no check"


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
