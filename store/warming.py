"""Filling the whole cache from PostgreSQL, and checking it against PostgreSQL.

What lives here: the long walks over every customer, shard by shard, behind `maywe cache`. They may
run beside writers and projectors and never replace anything by something older.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sqlalchemy import Engine, bindparam, func, select

from store.cache import Cache, WarmingPage
from store.comparing import (
    HARMLESS,
    CacheComparison,
    Compared,
    Verdict,
    catch_up,
    find_records_of_nobody,
)
from store.database import reading, reading_once
from store.meta import CacheLife
from store.projector import Projector
from store.schema import customer, state, subject
from store.sharding import SHARD_COUNT

CUSTOMERS_PER_PAGE: Final = 1000
ATTEMPTS_PER_SHARD_MAX: Final = 3
"""How often a shard is begun again because another life of its cache began meanwhile."""

SESSION_MAX: Final = 2**48
"""Sessions of warm-ups are drawn up to this, so that no two are the same."""

SAMPLE_MAX: Final = 100
"""Customer ids that a report names."""


class Progress(NamedTuple):
    """How many customers are done, of how many there were at the beginning."""

    customers_done: int
    customers_total: int


@dataclass(slots=True)
class WarmingReport:
    """What a warm-up did. A shard is incomplete when its cache kept being begun anew."""

    customers: int = 0
    incomplete_shards: list[int] = field(default_factory=list)


@dataclass(slots=True)
class VerificationReport:
    """How the cache compares with PostgreSQL.

    `missing` customers are not cached, which is no fault: a check reads them from PostgreSQL.
    `different` ones would be answered wrongly; `sample` names some of them.
    """

    checked: int = 0
    equal: int = 0
    missing: int = 0
    different: int = 0
    sample: list[str] = field(default_factory=list)

    def note_different(self, customer_ids: Sequence[str]) -> None:
        """Count customers who differ, and name them while there is room."""
        self.different += len(customer_ids)
        self.sample += customer_ids[: SAMPLE_MAX - len(self.sample)]


def warm(
    engine: Engine,
    cache: Cache,
    numbers: Iterable[int] = range(SHARD_COUNT),
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> WarmingReport:
    """Put every customer of some shards into Redis and mark the shards complete.

    Raises UnavailableError when Redis or PostgreSQL does not answer; it may be run again.
    """
    wanted = list(numbers)
    report = WarmingReport()
    total = _count_customers(engine, wanted)
    projector = Projector(engine, cache)
    for number in wanted:
        done_before = report.customers
        for _ in range(ATTEMPTS_PER_SHARD_MAX):
            report.customers = done_before
            if _warm_shard(engine, cache, projector, number, report, total, on_progress):
                break
        else:
            report.incomplete_shards.append(number)
    return report


def _warm_shard(
    engine: Engine,
    cache: Cache,
    projector: Projector,
    number: int,
    report: WarmingReport,
    total: int,
    on_progress: Callable[[Progress], None],
) -> bool:
    """Fill a shard within one life of its cache; false when that ended meanwhile.

    Whoever was recorded before the life began is on a page, as the pages are read later. Whoever
    is recorded after that is projected. So nobody is missing at the end.
    """
    life = _life_of(cache, projector, number)
    if life is None:
        return False
    session = 1 + secrets.randbelow(SESSION_MAX)
    # An empty page begins the count, as a shard may have no customers.
    if not cache.fill(number, life, {}, WarmingPage(session, 0)).is_accepted:
        return False
    pages = 1
    for seen_seq, records in _pages_after(cache, _pages(engine, number), number, life):
        page = WarmingPage(session, pages)
        if not cache.fill(number, life, records, page, seen_seq).is_accepted:
            return False
        pages += 1
        report.customers += len(records)
        on_progress(Progress(report.customers, max(total, report.customers)))
    return cache.mark_complete(number, life, session, pages).is_accepted


def _pages_after(
    cache: Cache, pages: Iterator[dict[str, bytes]], number: int, life: CacheLife
) -> Iterator[tuple[int, dict[str, bytes]]]:
    """Give pages, each with how far the shard was applied before it was read; none of a later life.

    Then it can be told which pages may hold somebody who was erased meanwhile.
    """
    while True:
        meta = cache.read_metas([number]).get(number)
        seen_seq = meta.applied_seq if meta is not None and meta.life == life else 0
        page = next(pages, None)
        if page is None:
            return
        yield seen_seq, page


def _life_of(cache: Cache, projector: Projector, number: int) -> CacheLife | None:
    """Give the life of a shard's cache, begun here where there is none."""
    projector.project_shard(number)
    meta = cache.read_metas([number])[number]
    return meta.life if meta is not None else None


def verify(
    engine: Engine,
    cache: Cache,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> VerificationReport:
    """Compare every record in Redis with PostgreSQL, by version and content.

    Every shard is first brought forward, so that what differs is no mere lag. Raises
    UnavailableError when Redis or PostgreSQL does not answer.
    """
    report = VerificationReport()
    total = _count_customers(engine, range(SHARD_COUNT))
    projector = Projector(engine, cache)
    comparison = CacheComparison(engine, cache, projector)
    for number in range(SHARD_COUNT):
        catch_up(projector, number)
        for records in _pages(engine, number):
            _note_compared(comparison.compare(number, list(records)), report)
            on_progress(Progress(report.checked, max(total, report.checked)))
    for customer_ids in _chunks(cache.scan_customer_ids()):
        _verify_leftovers(engine, cache, customer_ids, report)
    return report


def _note_compared(compared: Mapping[str, Compared], report: VerificationReport) -> None:
    report.note_different(
        [customer_id for customer_id, one in compared.items() if one.verdict not in HARMLESS]
    )
    # Whoever was being written all the time is passed over.
    verdicts = [one.verdict for one in compared.values() if one.verdict is not Verdict.UNSETTLED]
    report.checked += len(verdicts)
    report.equal += verdicts.count(Verdict.EQUAL)
    report.missing += verdicts.count(Verdict.MISSING)


def _verify_leftovers(
    engine: Engine, cache: Cache, customer_ids: Sequence[str], report: VerificationReport
) -> None:
    leftovers = list(find_records_of_nobody(engine, cache, customer_ids))
    report.checked += len(leftovers)
    report.note_different(leftovers)


def _count_customers(engine: Engine, numbers: Iterable[int]) -> int:
    with reading(engine) as connection:
        counted = connection.scalar(
            select(func.count())
            .select_from(customer.join(subject, subject.c.number == customer.c.subject))
            .where(subject.c.shard == func.any(list(numbers)))
        )
    return counted or 0


_PAGE: Final = (
    select(subject.c.number, customer.c.customer_id, state.c.record)
    .select_from(
        subject.join(customer, customer.c.subject == subject.c.number).join(
            state, state.c.subject == subject.c.root
        )
    )
    .where(subject.c.shard == bindparam("shard"))
    .where(subject.c.number > bindparam("after"))
    .where(subject.c.erased_at.is_(None))
    .order_by(subject.c.number)
    .limit(CUSTOMERS_PER_PAGE)
)


def _pages(engine: Engine, number: int) -> Iterator[dict[str, bytes]]:
    """Go through the records of a shard by customer id, each page read by itself."""
    after = -1
    while True:
        with reading_once(engine) as connection:
            page = connection.execute(_PAGE, {"shard": number, "after": after}).all()
        if not page:
            return
        # By place: reading columns by name takes most of the time for so many rows.
        yield {row[1]: row[2] for row in page}
        after = page[-1][0]


def _chunks(customer_ids: Iterator[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    for customer_id in customer_ids:
        chunk.append(customer_id)
        if len(chunk) == CUSTOMERS_PER_PAGE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
