"""The allow rule on real servers: what the guard does to a check."""

from typing import Any

import pytest
from sqlalchemy import Engine

from decision.errors import UnavailableError
from decision.reasons import Reason
from store.cache import Cache
from store.floors import CustomerFloor, Narrowing
from store.guard import GuardKeeper
from store.projector import Projector
from store.publications import Catalogs
from store.reader import PermissionReader, Permissions, ReadLimits
from tests.integration.ledger_builders import (
    PHONE,
    SMS,
    Ledger,
    document,
    leased,
    reason_for,
)

pytestmark = pytest.mark.integration

ANNA = "anna"


@pytest.fixture(autouse=True)
def projector(ledger: Ledger, cache: Cache) -> Projector:
    """A projector into a complete cache in which Anna may be called."""
    projector = Projector(ledger.engine, cache)
    projector.project_pending()
    ledger.consent(ANNA)
    projector.project_pending()
    return projector


def reader_of(
    ledger: Ledger, cache: Cache, keeper: GuardKeeper, engine: Engine | None = None, **limits: Any
) -> PermissionReader:
    """A reader in a process of its own, as far as catalogs go."""
    catalogs = Catalogs(ledger.engine)
    catalogs.refresh()
    return PermissionReader(
        ledger.engine if engine is None else engine, cache, catalogs, keeper, ReadLimits(**limits)
    )


def read_one(reader: PermissionReader) -> Permissions:
    """Anna's permissions."""
    [found] = reader.read([ANNA], [PHONE])
    return found


def summary(found: Permissions) -> tuple[Reason, bool]:
    """The reason for a call now, and whether it came from Redis."""
    return reason_for(found), found.is_from_cache


def test_with_a_lease_the_cache_answers(ledger: Ledger, cache: Cache) -> None:
    """Nothing stands against it."""
    assert summary(read_one(reader_of(ledger, cache, leased()))) == (Reason.ALLOWED, True)


def test_without_a_lease_postgresql_answers(ledger: Ledger, cache: Cache) -> None:
    """Somebody may have narrowed who could not tell us."""
    reader = reader_of(ledger, cache, leased(seconds=-1))
    assert summary(read_one(reader)) == (Reason.ALLOWED, False)


def test_without_a_lease_and_postgresql_nothing_is_answered(
    ledger: Ledger, cache: Cache, no_postgresql: Engine
) -> None:
    """By default a lost lease refuses."""
    reader = reader_of(ledger, cache, leased(seconds=-1), no_postgresql)
    with pytest.raises(UnavailableError):
        read_one(reader)


def test_within_the_grace_the_cache_answers_and_says_so(
    ledger: Ledger, cache: Cache, no_postgresql: Engine
) -> None:
    """The operator chose to go on for a while; the answer is marked."""
    reader = reader_of(
        ledger, cache, leased(seconds=-1), no_postgresql, lost_lease_grace_seconds=3600.0
    )
    found = read_one(reader)
    assert summary(found) == (Reason.ALLOWED, True)
    assert found.is_outside_promise


def test_a_grace_that_is_over_refuses(ledger: Ledger, cache: Cache, no_postgresql: Engine) -> None:
    """The stated time counts from when the lease was lost."""
    reader = reader_of(
        ledger, cache, leased(seconds=-10), no_postgresql, lost_lease_grace_seconds=5.0
    )
    with pytest.raises(UnavailableError):
        read_one(reader)


def test_within_the_grace_postgresql_goes_before_the_cache(ledger: Ledger, cache: Cache) -> None:
    """Only where PostgreSQL does not answer is the promise left."""
    reader = reader_of(ledger, cache, leased(seconds=-1), lost_lease_grace_seconds=3600.0)
    found = read_one(reader)
    assert not found.is_from_cache
    assert not found.is_outside_promise


def test_within_the_grace_a_floor_still_counts(
    ledger: Ledger, cache: Cache, no_postgresql: Engine
) -> None:
    """What the process was told of it goes on to heed."""
    keeper = leased(seconds=-1)
    keeper.raise_floors(Narrowing(1, [CustomerFloor(ANNA, seq=99, version=99)]))
    reader = reader_of(ledger, cache, keeper, no_postgresql, lost_lease_grace_seconds=3600.0)
    with pytest.raises(UnavailableError):
        read_one(reader)


def test_who_was_narrowed_is_read_from_postgresql_until_the_cache_shows_it(
    ledger: Ledger, cache: Cache, projector: Projector
) -> None:
    """The floor is the state version that the writer told."""
    keeper = leased()
    reader = reader_of(ledger, cache, keeper)
    recorded = ledger.revoke(ANNA)
    assert summary(read_one(reader)) == (Reason.ALLOWED, True), "nobody told us yet"
    keeper.raise_floors(recorded.narrowing)
    assert summary(read_one(reader)) == (Reason.CONSENT_REVOKED, False)
    projector.project_pending()
    assert summary(read_one(reader)) == (Reason.CONSENT_REVOKED, True)


def test_a_read_from_postgresql_lets_the_cache_show_a_narrowing_before_the_projector(
    ledger: Ledger, cache: Cache
) -> None:
    """The record that was filled has the version, though the shard is not applied so far."""
    keeper = leased()
    reader = reader_of(ledger, cache, keeper)
    keeper.raise_floors(ledger.revoke(ANNA).narrowing)
    read_one(reader)
    assert summary(read_one(reader)) == (Reason.CONSENT_REVOKED, True)


def test_a_publication_that_was_told_answers_at_once(ledger: Ledger, cache: Cache) -> None:
    """Neither Redis nor the roll-out has heard of it, and the process had not either."""
    keeper = leased()
    reader = reader_of(ledger, cache, keeper)
    number = ledger.publish(document(channels=("sms",)), rolled_out=False)
    assert summary(read_one(reader)) == (Reason.ALLOWED, True), "nobody told us yet"
    keeper.raise_floors(Narrowing(1, publication=number))
    assert read_one(reader).publication == number
    assert summary(read_one(reader)) == (Reason.NO_CONSENT, False)


def test_a_publication_that_concerns_other_consents_leaves_the_cache_in_use(
    ledger: Ledger, cache: Cache
) -> None:
    """A publication does not send everybody to PostgreSQL until it is rolled out."""
    keeper = leased()
    reader = reader_of(ledger, cache, keeper)
    number = ledger.publish(document(remark=" by phone"), rolled_out=False)
    keeper.raise_floors(Narrowing(1, publication=number))
    found = read_one(reader)
    assert found.publication == number
    assert summary(found) == (Reason.ALLOWED, True)


def test_scopes_that_a_publication_changed_are_read_from_postgresql(
    ledger: Ledger, cache: Cache
) -> None:
    """What it may have given or taken is not known from the cache."""
    keeper = leased()
    reader = reader_of(ledger, cache, keeper)
    number = ledger.publish(document(channels=("phone",)), rolled_out=False)
    keeper.raise_floors(Narrowing(1, publication=number))
    [found] = reader.read([ANNA], [SMS])
    assert (reason_for(found, SMS), found.is_from_cache) == (Reason.NO_CONSENT, False)


def test_a_cache_of_a_later_epoch_waits_for_the_lease_of_that_epoch(
    ledger: Ledger, cache: Cache, projector: Projector
) -> None:
    """The floors of the new life are not known yet."""
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE installation SET epoch = 2, settled_epoch = 2")
    for _ in range(2):
        projector.project_pending()
    reader = reader_of(ledger, cache, leased())
    for _ in range(2):
        assert summary(read_one(reader)) == (Reason.ALLOWED, False)
