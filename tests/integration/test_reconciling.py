"""The reconciler on real servers: what is spoilt is found, repaired and counted."""

import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest
import redis

from decision.errors import UnavailableError
from decision.events import Consent, Restriction, Revocation
from decision.reasons import Reason
from decision.selectors import EVERYTHING
from store.cache import Cache
from store.clocks import wall_clock
from store.feed import FeedCause
from store.reconciling import DifferenceKind, Reconciler
from store.record.writing import ENDED_KEPT_MAX
from store.warming import verify
from tests.integration.ledger_builders import Ledger, cached_reason, document
from tests.integration.reconciling_builders import (
    ANNA,
    BORIS,
    SHARD,
    STRANGER,
    VERA,
    Reconciling,
    body_of,
    make_reconciler,
    opened_reconciling,
    with_life,
    with_version,
)

pytestmark = pytest.mark.integration

SECOND: Final = 1_000_000
DAY: Final = 24 * 3600 * SECOND
FAR_AHEAD: Final = 2**60
"""A version above all that could be."""


@pytest.fixture
def reconciling(
    ledger: Ledger, cache: Cache, client: redis.Redis, redis_namespace: str
) -> Reconciling:
    """A reconciler on stores in which Anna has revoked and nothing is spoilt."""
    return opened_reconciling(ledger, cache, client, redis_namespace)


def test_nothing_differs_where_nothing_is_spoilt(reconciling: Reconciling) -> None:
    """After merges, splits, terms and publications, rolled out or not, a round finds nothing."""
    ledger = reconciling.ledger
    reconciler = Reconciler(
        ledger.engine, reconciling.cache, ledger.catalogs, lambda _: None, reconciling.told.append
    )
    ledger.split(VERA)
    soon = wall_clock() + DAY
    ledger.record(VERA, Consent(wall_clock(), "calls", "granted", expires_at=soon))
    ledger.publish(document(channels=("sms",)))
    reconciling.go_round(reconciler)
    ledger.publish(document(channels=("phone",)), rolled_out=False)
    ledger.consent(STRANGER)
    reconciling.go_round(reconciler)
    counts = reconciler.counts
    assert (counts.differences, counts.failures, reconciling.told) == ({}, 0, [])
    assert counts.customers_compared >= 9
    assert counts.records_scanned >= 9


def test_nothing_differs_where_more_happened_today_than_a_record_says(
    reconciling: Reconciling,
) -> None:
    """A restriction of all that the record left out changes the past alone."""
    ledger = reconciling.ledger
    an_hour_ago = wall_clock() - DAY // 24
    for place in range(ENDED_KEPT_MAX):
        at = an_hour_ago + 2 * place * SECOND
        ledger.record(STRANGER, Consent(at, "calls", "granted"))
        ledger.record(STRANGER, Revocation(at + SECOND, EVERYTHING))
    # Half of what is kept are the denials between.
    until = an_hour_ago + ENDED_KEPT_MAX * SECOND
    ledger.record(STRANGER, Restriction(an_hour_ago, until, "legal_hold", EVERYTHING))
    reconciling.go_round()
    assert (reconciling.found, reconciling.told) == ({}, [])


SPOILT_RECORDS: Final[dict[str, tuple[Callable[[Reconciling], bytes], DifferenceKind, bool]]] = {
    "another body under the same version": (
        lambda at: body_of(at.allowing, at.record(ANNA)),
        DifferenceKind.RECORD_CONTENT,
        True,
    ),
    "a publication that it does not name": (
        lambda at: at.record(ANNA)[:20] + b"\x07" + at.record(ANNA)[21:],
        DifferenceKind.RECORD_CONTENT,
        False,
    ),
    "cut off behind the header": (
        lambda at: at.record(ANNA)[:40],
        DifferenceKind.RECORD_CONTENT,
        True,
    ),
    "a version above the state's": (
        lambda at: with_version(at.allowing, 100),
        DifferenceKind.RECORD_AHEAD,
        True,
    ),
    "a version above all that could be": (
        lambda at: with_version(at.allowing, FAR_AHEAD),
        DifferenceKind.RECORD_AHEAD,
        True,
    ),
    "an older version": (lambda at: at.allowing, DifferenceKind.RECORD_BEHIND, True),
    "no record at all": (lambda _: b"rubbish", DifferenceKind.RECORD_DAMAGED, False),
    "of a later life": (
        lambda at: with_life(at.allowing, at.meta()[0], at.meta()[1] + 3),
        DifferenceKind.RECORD_OF_LATER_LIFE,
        False,
    ),
}


@pytest.mark.parametrize("case", SPOILT_RECORDS)
def test_a_spoilt_record_is_repaired(reconciling: Reconciling, case: str) -> None:
    """It is counted once, by its kind; then checks answer rightly and nothing differs any more."""
    make, kind, could_allow = SPOILT_RECORDS[case]
    reconciling.spoil(ANNA, make(reconciling))
    reconciling.go_round()
    counts = reconciling.reconciler.counts
    assert reconciling.found == {kind: 1}
    assert (counts.repaired, counts.could_have_allowed) == (1, could_allow)
    assert reconciling.reason(ANNA) is Reason.CONSENT_REVOKED
    # What no newer version could replace has gone with the life of the cache.
    assert cached_reason(reconciling.ledger, reconciling.cache, ANNA) is Reason.CONSENT_REVOKED
    reconciling.go_round()
    assert reconciling.found == {kind: 1}
    assert verify(reconciling.ledger.engine, reconciling.cache).different == 0


def test_what_a_spoilt_record_showed_counts_no_longer_for_anybody(
    reconciling: Reconciling,
) -> None:
    """Decision processes are told a floor, also those that come later; watchers see no change."""
    seen = reconciling.changes()
    reconciling.spoil(ANNA, body_of(reconciling.allowing, reconciling.record(ANNA)))
    reconciling.go_round()
    [narrowing] = reconciling.told
    [floor] = narrowing.customers
    version = reconciling.scalar(
        "SELECT version FROM state WHERE subject = :subject", subject=reconciling.subject(ANNA)
    )
    assert (floor.customer_id, floor.version) == (ANNA, version)
    assert (
        reconciling.scalar(
            "SELECT narrowed_version FROM outbox WHERE shard = :shard AND seq = :seq",
            shard=SHARD,
            seq=floor.seq,
        )
        == version
    )
    assert reconciling.changes() == seen


def test_a_record_of_a_merged_customer_is_repaired(reconciling: Reconciling) -> None:
    """Both ids are brought under the new version, though only one was spoilt."""
    reconciling.spoil(VERA, body_of(reconciling.record(ANNA), reconciling.record(VERA)))
    reconciling.go_round()
    assert reconciling.found == {DifferenceKind.RECORD_CONTENT: 1}
    for customer_id in (BORIS, VERA):
        reason = cached_reason(reconciling.ledger, reconciling.cache, customer_id)
        assert reason is Reason.ALLOWED


def test_a_lost_record_ends_the_claim_to_be_complete(reconciling: Reconciling) -> None:
    """Whoever else was lost with it is not taken for unknown any more either."""
    reconciling.lose(BORIS)
    assert reconciling.reason(BORIS) is Reason.UNKNOWN_CUSTOMER
    reconciling.go_round()
    assert reconciling.found == {DifferenceKind.RECORD_LOST: 1}
    assert reconciling.reason(BORIS) is Reason.ALLOWED
    assert reconciling.meta()[4] == 0


def test_a_record_of_nobody_is_not_heeded_any_more(reconciling: Reconciling) -> None:
    """No walk over customers meets it, a scan of Redis does."""
    reconciling.spoil(STRANGER, reconciling.allowing)
    assert reconciling.reason(STRANGER) is Reason.ALLOWED
    for _ in range(2):
        reconciling.go_round()
    assert reconciling.found == {DifferenceKind.RECORD_OF_NOBODY: 1}
    assert reconciling.reconciler.counts.could_have_allowed == 1
    assert reconciling.reason(STRANGER) is Reason.UNKNOWN_CUSTOMER


@pytest.mark.parametrize("place", [0, 1, 2, 3, 5])
def test_a_meta_that_is_ahead_begins_another_life(reconciling: Reconciling, place: int) -> None:
    """Of the epoch, the incarnation, the seq or a publication it may not claim too much."""
    meta = reconciling.meta()
    life = meta[:2]
    meta[place] += 1
    reconciling.spoil_meta(" ".join(map(str, meta)).encode())
    reconciling.go_round()
    assert reconciling.found == {DifferenceKind.META_AHEAD: 1}
    assert reconciling.meta()[:2] > life
    assert reconciling.reason(ANNA) is Reason.CONSENT_REVOKED
    reconciling.go_round()
    assert reconciling.found == {DifferenceKind.META_AHEAD: 1}


@pytest.mark.parametrize(
    "meta",
    [
        b"rubbish",
        b"4000000000 1 9 1 1 1",
        b"99999999999 1 9 1 1 1",
        b"1 4000000000 9 1 1 1",
        b"1 1 99999999999999999 1 1 1",
        b"1 1 9 99999999999 1 1",
        b"1 1 9 1 1 99999999999",
    ],
)
def test_a_damaged_meta_begins_another_life(reconciling: Reconciling, meta: bytes) -> None:
    """Nothing was answered from it, whatever numbers it has that no meta has."""
    life = reconciling.meta()[:2]
    reconciling.spoil_meta(meta)
    reconciling.go_round()
    assert reconciling.found == {DifferenceKind.META_DAMAGED: 1}
    assert reconciling.reconciler.counts.could_have_allowed == 0
    assert reconciling.meta()[:2] > life


def test_what_only_lags_is_no_difference(reconciling: Reconciling, cache: Cache) -> None:
    """A Redis that is behind, or empty, is brought forward and counts as it is then."""
    reconciling.ledger.revoke(BORIS)
    reconciling.go_round()
    assert reconciling.found == {}
    assert cached_reason(reconciling.ledger, cache, BORIS) is Reason.CONSENT_REVOKED
    reconciling.lose(BORIS)
    reconciling.client.delete(f"{reconciling.namespace}:{{s{SHARD}}}:meta")
    reconciling.go_round()
    assert reconciling.found == {}


SPOILT_STATES: Final = {
    "another record": (
        "UPDATE state SET record = :allowing WHERE subject = :anna",
        DifferenceKind.STATE,
        True,
    ),
    "a damaged record": (
        "UPDATE state SET record = 'rubbish'::bytea WHERE subject = :anna",
        DifferenceKind.STATE,
        True,
    ),
    "another version": (
        "UPDATE state SET version = 50 WHERE subject = :anna",
        DifferenceKind.STATE,
        False,
    ),
    "a version above all that could be": (
        "UPDATE state SET version = 9223372036854775807 WHERE subject = :anna",
        DifferenceKind.STATE,
        False,
    ),
    "a publication that is not there": (
        "UPDATE state SET publication = 9 WHERE subject = :anna",
        DifferenceKind.STATE,
        False,
    ),
    "another shard": (
        "UPDATE state SET shard = 9 WHERE subject = :anna",
        DifferenceKind.STATE,
        False,
    ),
    "another next change": (
        "UPDATE state SET next_change_at = 5 WHERE subject = :anna",
        DifferenceKind.NEXT_CHANGE,
        False,
    ),
    "none": (
        "DELETE FROM state WHERE subject = :anna",
        DifferenceKind.STATE_MISSING,
        False,
    ),
    "a permission too many": (
        "INSERT INTO permission SELECT scope, :anna, 1, allowed_until FROM permission LIMIT 1",
        DifferenceKind.PERMISSIONS,
        False,
    ),
    "an unmatched event too many": (
        "INSERT INTO unmatched VALUES ('event-9', :anna, 'NO_MATRIX_ROW', '{}', '')",
        DifferenceKind.UNMATCHED,
        False,
    ),
}


@pytest.mark.parametrize("case", SPOILT_STATES)
def test_a_spoilt_state_is_written_anew(reconciling: Reconciling, case: str) -> None:
    """It is counted once; then PostgreSQL and Redis answer as the ledger has it."""
    statement, kind, could_allow = SPOILT_STATES[case]
    values = {
        "allowing": reconciling.allowing,
        "anna": reconciling.subject(ANNA),
        "boris": reconciling.subject(BORIS),
    }
    reconciling.execute(
        statement, **{name: values[name] for name in values if f":{name}" in statement}
    )
    reconciling.go_round()
    counts = reconciling.reconciler.counts
    assert reconciling.found == {kind: 1}
    assert (counts.repaired, counts.could_have_allowed, counts.failures) == (1, could_allow, 0)
    assert cached_reason(reconciling.ledger, reconciling.cache, ANNA) is Reason.CONSENT_REVOKED
    reconciling.go_round()
    assert reconciling.found == {kind: 1}
    assert verify(reconciling.ledger.engine, reconciling.cache).different == 0


def test_permissions_that_are_missing_come_back(reconciling: Reconciling) -> None:
    """Who asks for everybody who may be contacted finds them again."""
    values = {"boris": reconciling.subject(BORIS)}
    count = "SELECT count(*) FROM permission WHERE subject = :boris"
    before = reconciling.scalar(count, **values)
    reconciling.execute("DELETE FROM permission WHERE subject = :boris", **values)
    reconciling.go_round()
    assert reconciling.found == {DifferenceKind.PERMISSIONS: 1}
    assert reconciling.scalar(count, **values) == before


def test_a_repaired_state_narrows(reconciling: Reconciling) -> None:
    """What it showed too much is told as a floor, and to watchers as a correction."""
    seen = reconciling.changes()
    reconciling.execute(
        "UPDATE state SET record = :allowing WHERE subject = :anna",
        allowing=reconciling.allowing,
        anna=reconciling.subject(ANNA),
    )
    reconciling.go_round()
    [narrowing] = reconciling.told
    assert [floor.customer_id for floor in narrowing.customers] == [ANNA]
    causes = {change.cause for change in reconciling.changes() if change not in seen}
    assert causes == {FeedCause.CORRECTION}


def test_the_alarm_tells_the_worst_and_nothing_personal(
    reconciling: Reconciling, caplog: pytest.LogCaptureFixture
) -> None:
    """At level ERROR stand the surrogate subject, the kind, and whether it could have allowed."""
    reconciling.spoil(ANNA, body_of(reconciling.allowing, reconciling.record(ANNA)))
    reconciling.go_round()
    [alarm] = [found for found in caplog.records if found.levelno == logging.ERROR]
    line = alarm.getMessage()
    assert f"subject {reconciling.subject(ANNA)}, shard {SHARD}" in line
    assert "RECORD_CONTENT" in line
    assert "wrong ALLOW possible: YES" in line
    assert all(ANNA not in found.getMessage() for found in caplog.records)


def test_two_reconcilers_repair_and_count_once(reconciling: Reconciling) -> None:
    """Who comes second finds nothing to do, though both have seen it."""
    ledger, cache = reconciling.ledger, reconciling.cache
    reconciling.spoil(ANNA, body_of(reconciling.allowing, reconciling.record(ANNA)))
    reconciling.execute(
        "UPDATE state SET record = :allowing WHERE subject = :boris",
        allowing=reconciling.allowing,
        boris=reconciling.subject(BORIS),
    )
    others = [make_reconciler(ledger, cache, []) for _ in range(2)]
    with ThreadPoolExecutor(len(others)) as pool:
        for done in [pool.submit(reconciling.go_round, other) for other in others]:
            done.result()
    found = sum((other.counts.differences for other in others), Counter[DifferenceKind]())
    assert found == {DifferenceKind.RECORD_CONTENT: 1, DifferenceKind.STATE: 1}


def test_without_redis_states_are_repaired_all_the_same(
    reconciling: Reconciling, no_redis: Cache
) -> None:
    """Steps fail and count as failed, and PostgreSQL answers rightly again."""
    ledger = reconciling.ledger
    reconciler = make_reconciler(ledger, no_redis, [])
    reconciling.execute(
        "UPDATE state SET record = :allowing WHERE subject = :anna",
        allowing=reconciling.allowing,
        anna=reconciling.subject(ANNA),
    )
    for _ in range(2):
        with pytest.raises(UnavailableError):
            reconciler.step()
    assert reconciler.counts.differences == {DifferenceKind.STATE: 1}
    assert reconciler.counts.failures == 2
    state_record = reconciling.scalar(
        "SELECT record FROM state WHERE subject = :anna", anna=reconciling.subject(ANNA)
    )
    assert bytes(state_record) != reconciling.allowing
    # Redis has not seen any of it; it is brought forward by whoever reaches it.
    reconciling.go_round()
    assert cached_reason(ledger, reconciling.cache, ANNA) is Reason.CONSENT_REVOKED
