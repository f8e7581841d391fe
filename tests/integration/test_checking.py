"""Checks on real stores: what an answer holds when a publication comes in between."""

from typing import Any

import pytest

from decision.questions import ContactQuestion, ShareQuestion
from service.batches import BatchDecider
from service.checking import Check, Checker
from service.conversion.batches import batch_response
from store.bulk_reading import BulkReader
from store.cache import Cache
from store.projector import Projector
from store.publications import Catalogs
from store.reader import PermissionReader
from store.token import Token
from tests.integration.ledger_builders import Ledger, document, leased

pytestmark = pytest.mark.integration

BY_PHONE = ContactQuestion("advertising", "phone")


@pytest.fixture
def catalogs(ledger: Ledger) -> Catalogs:
    """Those of a process that knows the first publication and looks for no other by itself."""
    catalogs = Catalogs(ledger.engine)
    catalogs.refresh()
    return catalogs


@pytest.fixture
def checker(ledger: Ledger, cache: Cache, catalogs: Catalogs) -> Checker:
    """A checker in such a process."""
    return Checker(PermissionReader(ledger.engine, cache, catalogs, leased()), catalogs)


@pytest.fixture
def batches(cache: Cache, catalogs: Catalogs, checker: Checker) -> BatchDecider:
    """Who decides batches in such a process."""
    return BatchDecider(BulkReader(cache, catalogs, leased()), checker)


def with_a_new_channel() -> dict[str, Any]:
    """A catalog by which `calls` allows a channel that was not known before."""
    content = document(channels=("phone", "messenger"))
    content["channels"].append({"code": "messenger", "name": "messenger"})
    content["partners"] = [{"code": "acme", "name": "acme"}]
    content["datasets"] = [{"code": "scoring", "name": "scoring"}]
    return content


def test_a_channel_that_the_read_brought_is_suggested(ledger: Ledger, checker: Checker) -> None:
    """PostgreSQL answers under a newer catalog than the one that was known when asking."""
    ledger.consent("ann")
    assert checker.decide(Check("ann", BY_PHONE)).allowed_channels == ["phone", "sms"]
    number = ledger.publish(with_a_new_channel())
    decision = checker.decide(Check("ann", BY_PHONE))
    assert decision.publication == number
    assert decision.allowed_channels == ["phone", "messenger"]


def test_a_channel_that_the_cache_told_of_is_suggested(
    ledger: Ledger, cache: Cache, checker: Checker
) -> None:
    """Also when the answer comes from Redis, whose records are newer than the catalog known."""
    projector = Projector(ledger.engine, cache)
    projector.project_pending()
    ledger.consent("ann")
    ledger.publish(with_a_new_channel())
    projector.project_pending()
    assert checker.decide(Check("ann", BY_PHONE)).allowed_channels == ["phone", "messenger"]


def test_a_channel_that_a_token_told_of_is_suggested(ledger: Ledger, batches: BatchDecider) -> None:
    """In a batch as well, beside checks that know of no token."""
    ledger.consent("ann")
    number = ledger.publish(with_a_new_channel(), rolled_out=False)
    token = Token(1, {}, number)
    checks = [Check("ann", BY_PHONE, token=token), Check("ann", BY_PHONE)]
    for answer in batch_response(batches.decide_each(checks)).results:
        assert list(answer.contact.allowed_channels) == ["phone", "messenger"]


def test_a_share_beside_a_contact_suggests_no_channel(
    ledger: Ledger, batches: BatchDecider
) -> None:
    """Each check of a batch has what it asked for, whatever the others made be read."""
    ledger.consent("ann")
    ledger.publish(with_a_new_channel())
    share = Check("ann", ShareQuestion("advertising", "acme", ("scoring",)))
    checks = [Check("ann", BY_PHONE), share]
    contact, shared = batch_response(batches.decide_each(checks)).results
    assert list(contact.contact.allowed_channels) == ["phone", "messenger"]
    assert [answer.dataset for answer in shared.share.datasets] == ["scoring"]
