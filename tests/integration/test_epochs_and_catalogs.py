"""Publication numbers that a restore gives anew: nothing of the older life is used any more."""

import pytest

from decision.reasons import Reason
from store.cache import Cache
from store.epochs import raise_epoch
from store.floors import Narrowing
from store.guard import GuardKeeper
from store.leases import LeaseHolder
from store.projector import Projector
from store.publications import Catalogs
from store.reader import PermissionReader, Permissions
from tests.integration.ledger_builders import PHONE, Ledger, document, reason_for

pytestmark = pytest.mark.integration

ANNA = "anna"


class Process:
    """A decision process that lives on over a restore."""

    def __init__(self, ledger: Ledger, cache: Cache) -> None:
        self.catalogs = Catalogs(ledger.engine)
        self.catalogs.refresh()
        self.keeper = GuardKeeper()
        self.lease = LeaseHolder(ledger.engine, cache, self.keeper, "one", "127.0.0.1:1", 60.0)
        self.lease.renew()
        self._reader = PermissionReader(ledger.engine, cache, self.catalogs, self.keeper)

    def ask(self) -> Permissions:
        """Anna's permissions."""
        [found] = self._reader.read([ANNA], [PHONE])
        return found


def project(ledger: Ledger, cache: Cache) -> None:
    """Bring Redis forward, beginning lives where there are none."""
    projector = Projector(ledger.engine, cache)
    projector.project_pending()
    projector.project_pending()


def forget_publication(ledger: Ledger, number: int) -> None:
    """Take the newest publication away as a restore does, and begin an epoch."""
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE publication DISABLE TRIGGER ALL")
        connection.exec_driver_sql("DELETE FROM job_piece USING job WHERE job = job.number")
        connection.exec_driver_sql("DELETE FROM job WHERE publication = %s", (number,))
        connection.exec_driver_sql("DELETE FROM publication WHERE number = %s", (number,))
        connection.exec_driver_sql("ALTER TABLE publication ENABLE TRIGGER ALL")
    raise_epoch(ledger.engine, 1)


@pytest.fixture
def process(ledger: Ledger, cache: Cache) -> Process:
    """A process that has answered from the cache under a publication that changes nothing."""
    project(ledger, cache)
    ledger.consent(ANNA)
    project(ledger, cache)
    process = Process(ledger, cache)
    lost = ledger.publish(document(remark=" by phone"), rolled_out=False)
    process.keeper.raise_floors(Narrowing(1, publication=lost))
    found = process.ask()
    assert (found.publication, found.is_from_cache) == (lost, True)
    forget_publication(ledger, lost)
    return process


def test_a_comparison_of_an_older_epoch_is_not_used(
    ledger: Ledger, cache: Cache, process: Process
) -> None:
    """The same number means another catalog now, which takes the scope away."""
    ledger.catalogs.refresh()
    number = ledger.publish(document(channels=("sms",)), rolled_out=False)
    project(ledger, cache)
    process.lease.renew()
    for _ in range(2):
        found = process.ask()
        assert found.publication == number
        assert reason_for(found) is Reason.NO_CONSENT


def test_a_catalog_of_an_older_epoch_is_not_newer(
    ledger: Ledger, cache: Cache, process: Process
) -> None:
    """The lease is of the new epoch before anything else of the process has heard of it."""
    project(ledger, cache)
    known = process.catalogs.newest()
    process.lease.renew()
    assert process.catalogs.newest() is known
    found = process.ask()
    assert found.publication == known.number - 1
    assert found.published.epoch > known.epoch
