"""Acknowledgements: EFFECTIVE or DURABLE, and how long a caller waits to hear which."""

import json
from collections.abc import Iterable, Iterator
from typing import Final

import pytest
from maywe.v1 import catalog_pb2, common_pb2, event_pb2, writer_pb2

from service.application import ALL_ROLES
from service.client import open_client
from service.composition import open_application
from service.server import running_server
from tests.integration.lease_builders import begin_epoch, renew
from tests.integration.service_builders import catalog, purchase, revocation
from tests.running import CALL_TIMEOUT_SECONDS, RunningMaywe, settings_for

pytestmark = pytest.mark.integration

LEASE_SECONDS: Final = 0.4
EFFECTIVE_WAIT_SECONDS: Final = 1.2
"""Longer than such a lease with its margin, and short enough to wait for in vain."""

LONG_LEASE_SECONDS: Final = 600


@pytest.fixture
def maywe(database_url: str, redis_url: str, redis_namespace: str) -> Iterator[RunningMaywe]:
    """A system of all roles whose leases, and patience, are short; ivan has consented."""
    settings = settings_for(
        database_url,
        redis_url,
        redis_namespace,
        lease_seconds=str(LEASE_SECONDS),
        lease_renewal_seconds=str(LEASE_SECONDS / 4),
        effective_wait_seconds=str(EFFECTIVE_WAIT_SECONDS),
    )
    with (
        open_application(settings, ALL_ROLES) as application,
        running_server(application, settings.listen) as server,
        open_client(server.address, server.address, CALL_TIMEOUT_SECONDS) as client,
    ):
        running = RunningMaywe(application, client, server.address)
        running.publish(catalog())
        running.client.writer.RecordPurchase(purchase())
        yield running


def let_a_process_be_silent(maywe: RunningMaywe, seconds: float = LONG_LEASE_SECONDS) -> None:
    """Let there be a process that has a lease and does not answer."""
    renew(maywe.application.engine, "silent", length_seconds=seconds)


def durability(acknowledgement: common_pb2.Acknowledgement) -> str:
    """How far a write has come."""
    return common_pb2.Durability.Name(acknowledgement.durability)


def imported(
    maywe: RunningMaywe, *chunks: Iterable[tuple[int, event_pb2.Event]]
) -> tuple[list[str], str]:
    """Send one stream of an import, and give how far its chunks and the whole have come."""
    answers = list(
        maywe.client.writer.ImportEvents(
            iter(
                [
                    writer_pb2.ImportEventsRequest(start=writer_pb2.ImportStart(import_id="i")),
                    *(
                        writer_pb2.ImportEventsRequest(
                            chunk=writer_pb2.ImportChunk(
                                items=[
                                    writer_pb2.ImportItem(position=position, event=event)
                                    for position, event in chunk
                                ]
                            )
                        )
                        for chunk in chunks
                    ),
                ]
            )
        )
    )
    name = common_pb2.Durability.Name
    return (
        [name(answer.progress.durability) for answer in answers[1:-1]],
        name(answers[-1].summary.durability),
    )


def revoked(event_id: str) -> event_pb2.Event:
    """A revocation of all that ivan has, as an import has it."""
    return event_pb2.Event(revocation=revocation(event_id=event_id))


def bought(event_id: str, customer_id: str) -> event_pb2.Event:
    """A purchase, as an import has it."""
    return event_pb2.Event(purchase=purchase(customer_id, event_id=event_id))


def test_a_revocation_is_effective(maywe: RunningMaywe) -> None:
    """And no check after it allows what it took away."""
    response = maywe.client.writer.Revoke(revocation())
    assert durability(response.acknowledgement) == "DURABILITY_EFFECTIVE"


def test_what_is_not_effective_in_time_is_durable_and_effective_when_repeated(
    maywe: RunningMaywe,
) -> None:
    """The writer's patience ends; the same event sent again is acknowledged anew."""
    let_a_process_be_silent(maywe)
    request = revocation(event_id="r")
    response = maywe.client.writer.Revoke(request)
    assert durability(response.acknowledgement) == "DURABILITY_DURABLE"
    let_a_process_be_silent(maywe, LEASE_SECONDS)
    response = maywe.client.writer.Revoke(request)
    assert response.acknowledgement.repeat
    assert durability(response.acknowledgement) == "DURABILITY_EFFECTIVE"


def test_the_answer_comes_before_the_caller_gives_up(maywe: RunningMaywe) -> None:
    """Whose time is shorter than the writer's patience."""
    let_a_process_be_silent(maywe)
    response = maywe.client.writer.Revoke(revocation(), timeout=EFFECTIVE_WAIT_SECONDS)
    assert durability(response.acknowledgement) == "DURABILITY_DURABLE"


def test_what_takes_nothing_away_waits_for_no_process(maywe: RunningMaywe) -> None:
    """Nothing that was there before is wrong."""
    let_a_process_be_silent(maywe)
    response = maywe.client.writer.RecordPurchase(purchase("anna"))
    assert durability(response.acknowledgement) == "DURABILITY_EFFECTIVE"


def test_in_an_epoch_that_is_not_settled_nothing_is_effective_at_once(maywe: RunningMaywe) -> None:
    """Not even what takes nothing away; it does not wait all the same."""
    # A long lease was seen, so that the epoch does not settle during the test.
    let_a_process_be_silent(maywe)
    maywe.application.effectuator.watch()
    begin_epoch(maywe.application.engine)
    response = maywe.client.writer.RecordPurchase(purchase("anna"))
    assert durability(response.acknowledgement) == "DURABILITY_DURABLE"


def test_a_revocation_waits_until_its_epoch_is_settled(maywe: RunningMaywe) -> None:
    """It was recorded in that epoch, and becomes effective in it."""
    begin_epoch(maywe.application.engine)
    response = maywe.client.writer.Revoke(revocation())
    assert durability(response.acknowledgement) == "DURABILITY_EFFECTIVE"


def test_a_publication_is_acknowledged_likewise(maywe: RunningMaywe) -> None:
    """It may take something away from anybody."""
    request = catalog_pb2.PublishRequest(
        publication_id="p2", document=json.dumps(catalog()), publisher="lawyer"
    )
    response = maywe.client.catalog.Publish(request)
    assert durability(response.acknowledgement) == "DURABILITY_EFFECTIVE"
    let_a_process_be_silent(maywe)
    response = maywe.client.catalog.Publish(request)
    assert response.acknowledgement.repeat
    assert durability(response.acknowledgement) == "DURABILITY_DURABLE"


def test_each_chunk_of_an_import_is_acknowledged_as_a_whole(maywe: RunningMaywe) -> None:
    """One that took nothing away is effective; the whole is so only if every chunk is."""
    let_a_process_be_silent(maywe)
    found = imported(
        maywe,
        [(1, bought("e1", "anna")), (2, bought("e2", "olga"))],
        [(3, bought("e3", "boris")), (4, revoked("e4"))],
    )
    assert found == (["DURABILITY_EFFECTIVE", "DURABILITY_DURABLE"], "DURABILITY_DURABLE")


def test_an_import_that_goes_on_is_effective_as_a_whole(maywe: RunningMaywe) -> None:
    """What was settled before is not told again; a whole lease makes it effective at the end."""
    assert imported(maywe, [(1, revoked("e1"))])[1] == "DURABILITY_EFFECTIVE"
    found = imported(maywe, [(1, revoked("e1")), (2, revoked("e2"))], [(3, revoked("e3"))])
    assert found == (["DURABILITY_DURABLE", "DURABILITY_EFFECTIVE"], "DURABILITY_EFFECTIVE")


def test_an_import_that_goes_on_is_not_effective_before_that(maywe: RunningMaywe) -> None:
    """Nobody knows what became of its earlier streams."""
    imported(maywe, [(1, revoked("e1"))])
    let_a_process_be_silent(maywe)
    assert imported(maywe) == ([], "DURABILITY_DURABLE")
