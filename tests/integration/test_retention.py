"""Retention: the outbox is pruned of what nobody needs any more, and of nothing else."""

import re
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest
from sqlalchemy import select, text

from decision.reasons import Reason
from store.cache import Cache
from store.database import reading
from store.guard import GuardKeeper
from store.journal_days import DAYS_AHEAD
from store.leases import LeaseHolder
from store.projector import Projector
from store.retention import OutboxPruner, read_holdings
from store.schema import outbox, outbox_kept, shard
from store.verifying import verify
from tests.integration.command_line import run
from tests.integration.ledger_builders import Ledger, cached_reason, ids_of_shard
from tests.integration.test_projector import dumped_keys, restore_keys
from tests.integration.test_serving import serving_process
from tests.integration.whole_ledger import faults_of_ledger
from tests.servers import remove_keys
from tests.waiting import until

pytestmark = pytest.mark.integration

SHARD: Final = 5
ANNA, BORIS, VERA = ids_of_shard(SHARD, 3)
NOTHING_KEPT: Final = 0.0
DAY_SECONDS: Final = 86_400.0
DAY_MICROSECONDS: Final = 86_400_000_000


def pruner(
    ledger: Ledger, cache: Cache, kept_seconds: float = NOTHING_KEPT, rows_per_step: int = 2
) -> OutboxPruner:
    """A pruner that goes on without a pause; small steps, so that there are several."""
    return OutboxPruner(
        ledger.engine, cache, kept_seconds, rows_per_step=rows_per_step, pause_seconds=0.0
    )


def prune(ledger: Ledger, cache: Cache, kept_seconds: float = NOTHING_KEPT) -> int:
    """Prune all that is due, and give how many rows that was."""
    return pruner(ledger, cache, kept_seconds).run_pending(threading.Event())


def seqs(ledger: Ledger) -> Sequence[int]:
    """The rows of the shard that are kept."""
    with reading(ledger.engine) as connection:
        return connection.scalars(
            select(outbox.c.seq).where(outbox.c.shard == SHARD).order_by(outbox.c.seq)
        ).all()


def kept_after(ledger: Ledger) -> int:
    """Up to which row the shard is pruned, as everybody is told."""
    with reading(ledger.engine) as connection:
        found: int = connection.scalars(
            select(outbox_kept.c.after_seq).where(outbox_kept.c.shard == SHARD)
        ).one()
        return found


def parts_of_journal(ledger: Ledger) -> int:
    """How many parts the journal has."""
    with reading(ledger.engine) as connection:
        statement = (
            "SELECT count(*) FROM pg_inherits WHERE inhparent = 'decision_journal'::regclass"
        )
        return int(connection.scalar(text(statement)) or 0)


def make_older(ledger: Ledger, seq_max: int, days: int) -> None:
    """Let rows of the shard, up to one of them, be of so many days before."""
    with ledger.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE outbox SET recorded_at = recorded_at - :by WHERE shard = :n AND seq <= :s"
            ),
            {"by": days * DAY_MICROSECONDS, "n": SHARD, "s": seq_max},
        )


def record(ledger: Ledger, projector: Projector, count: int = 5) -> None:
    """Record so many rows in the shard, and let Redis show them."""
    projector.project_pending()
    for number in range(count):
        ledger.consent(ANNA if number % 2 else BORIS)
    projector.project_pending()


def test_what_is_old_and_applied_goes_and_the_rest_stays(
    ledger: Ledger, projector: Projector, cache: Cache
) -> None:
    """Row by row from the oldest on, and what is left fits together."""
    record(ledger, projector)
    make_older(ledger, seq_max=3, days=3)
    assert prune(ledger, cache, 4 * DAY_SECONDS) == 0
    assert prune(ledger, cache, 2 * DAY_SECONDS) == 3
    assert (seqs(ledger), kept_after(ledger)) == ([4, 5], 3)
    assert prune(ledger, cache, 2 * DAY_SECONDS) == 0
    assert faults_of_ledger(ledger.engine, ledger.catalogs) == []


def test_what_redis_does_not_show_stays_however_old(
    ledger: Ledger, projector: Projector, cache: Cache
) -> None:
    """Otherwise every customer of the shard would have to be read from PostgreSQL again."""
    record(ledger, projector, count=2)
    ledger.revoke(ANNA)
    make_older(ledger, seq_max=3, days=100)
    assert prune(ledger, cache) == 2
    assert seqs(ledger) == [3]
    begun = projector.counts.incarnations_begun
    assert projector.project_pending() == 1
    assert prune(ledger, cache) == 1
    ledger.consent(ANNA)
    assert projector.project_pending() == 1
    assert projector.counts.incarnations_begun == begun


def test_without_redis_everything_stays(ledger: Ledger, cache: Cache, no_redis: Cache) -> None:
    """One that does not answer and one that is empty show nothing."""
    ledger.consent(ANNA)
    assert prune(ledger, no_redis) == 0
    assert prune(ledger, cache) == 0
    assert seqs(ledger) == [1]


def test_the_ledger_verifies_and_answers_as_before(
    ledger: Ledger, projector: Projector, cache: Cache
) -> None:
    """No answer rests on the outbox, nor does the chain."""
    record(ledger, projector)
    ledger.revoke(BORIS)
    projector.project_pending()
    url = ledger.engine.url.render_as_string(hide_password=False)
    before = verify(ledger.engine, url, processes=1)
    assert prune(ledger, cache) == 6
    after = verify(
        ledger.engine, url, processes=1, expected=[before.digest] if before.digest else []
    )
    assert (after.events, after.faults) == (before.events, [])
    assert cached_reason(ledger, cache, ANNA) is Reason.ALLOWED
    assert cached_reason(ledger, cache, BORIS) is Reason.CONSENT_REVOKED


def test_a_redis_that_goes_back_before_what_is_kept_begins_anew(
    ledger: Ledger,
    projector: Projector,
    cache: Cache,
    redis_url: str,
    redis_namespace: str,
) -> None:
    """And one that goes back to where it still is kept is replayed."""
    record(ledger, projector, count=1)
    older = dumped_keys(redis_url, redis_namespace)
    record(ledger, projector, count=2)
    newer = dumped_keys(redis_url, redis_namespace)
    ledger.revoke(BORIS)
    projector.project_pending()
    make_older(ledger, seq_max=3, days=3)
    assert prune(ledger, cache, DAY_SECONDS) == 3
    begun = projector.counts.incarnations_begun
    for keys, more in ((newer, 0), (older, 1)):
        remove_keys(redis_url, redis_namespace)
        restore_keys(redis_url, keys)
        projector.project_pending()
        assert projector.counts.incarnations_begun == begun + more


def test_a_process_that_lagged_asks_nothing_of_what_is_pruned(
    ledger: Ledger, projector: Projector, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The floors are gone with the rows, so it demands all of the shard up to there."""
    record(ledger, projector, count=1)
    keeper = GuardKeeper()
    holder = LeaseHolder(ledger.engine, cache, keeper, "one", "127.0.0.1:1", 60.0)
    holder.renew()
    assert keeper.current().bases[SHARD] == 1
    ledger.revoke(BORIS)
    projector.project_pending()
    prune(ledger, cache)
    # The process does not reach Redis any more, and what it saw of it is from before.
    monkeypatch.setattr(LeaseHolder, "_read_metas", lambda _: {})
    holder.renew()
    assert keeper.current().bases[SHARD] == 2


def test_several_who_prune_do_not_wait_for_each_other(
    ledger: Ledger, projector: Projector, cache: Cache
) -> None:
    """Every row goes once, while somebody writes."""
    record(ledger, projector, count=40)
    writer = ledger.engine.connect()
    with writer, ThreadPoolExecutor(4) as pool:
        # Whoever records holds the shard: pruning does not ask for it.
        writer.execute(select(shard).where(shard.c.number == SHARD).with_for_update())
        removed = list(pool.map(lambda _: prune(ledger, cache), range(4)))
        writer.rollback()
    assert sum(removed) + len(seqs(ledger)) == 40
    prune(ledger, cache)
    assert seqs(ledger) == []
    assert faults_of_ledger(ledger.engine, ledger.catalogs) == []


def test_a_step_removes_no_more_than_it_may(
    ledger: Ledger, projector: Projector, cache: Cache
) -> None:
    """However much is due."""
    record(ledger, projector, count=5)
    assert pruner(ledger, cache, rows_per_step=2).step(SHARD, last_seq=5) == 2
    assert seqs(ledger) == [3, 4, 5]


class TestCommand:
    """The command line, and the worker."""

    @pytest.fixture
    def stores(self, database_url: str, redis_url: str, redis_namespace: str) -> list[str]:
        """The options that name the stores of this test."""
        return [
            f"--postgres-url={database_url}",
            f"--redis-url={redis_url}",
            f"--redis-namespace={redis_namespace}",
        ]

    def test_it_prunes_and_shows_what_is_left(
        self, stores: list[str], ledger: Ledger, projector: Projector
    ) -> None:
        """To programs as well as to people."""
        record(ledger, projector)
        make_older(ledger, seq_max=4, days=20)
        for days in ("0", "30"):
            kept = run("retention", "run", *stores, f"--outbox-days={days}", "--json")
            assert (kept.status, kept.json["outboxRowCount"]) == (0, 0)
        finished = run("retention", "run", *stores)
        assert finished.status == 0
        assert re.search(r"rows of the outbox removed +4\n", finished.out)
        shown = run("retention", "show", *stores, "--json").json
        assert shown["outboxDays"] == 14
        assert shown["ledgerFrom"] < shown["outboxFrom"]
        assert {"event", "outbox"} <= {table["name"] for table in shown["tables"]}
        assert "event" in run("retention", "show", *stores).columns("table")

    def test_a_worker_prunes_by_itself(
        self, stores: list[str], ledger: Ledger, projector: Projector
    ) -> None:
        """And keeps what is younger; the journal it parts by day."""
        record(ledger, projector)
        make_older(ledger, seq_max=3, days=20)
        with serving_process("worker", *stores, "--outbox-days=0", "--journal-days=0"):
            pass
        assert seqs(ledger) == [1, 2, 3, 4, 5]
        assert parts_of_journal(ledger) == 1
        with serving_process("worker", *stores, "--outbox-days=19"):
            until(lambda: kept_after(ledger) == 3)
            until(lambda: parts_of_journal(ledger) == 2 + DAYS_AHEAD)
        assert seqs(ledger) == [4, 5]


def test_holdings_go_back_as_far_as_there_are_rows(
    ledger: Ledger, projector: Projector, cache: Cache
) -> None:
    """Nothing is there before anything is recorded, and the outbox may be younger."""
    assert (read_holdings(ledger.engine).ledger_from, read_holdings(ledger.engine).outbox_from) == (
        None,
        None,
    )
    record(ledger, projector)
    whole = read_holdings(ledger.engine)
    assert whole.ledger_from is not None
    assert whole.outbox_from is not None
    assert whole.ledger_from <= whole.outbox_from
    prune(ledger, cache)
    assert read_holdings(ledger.engine).outbox_from is None
    assert read_holdings(ledger.engine).ledger_from == whole.ledger_from
