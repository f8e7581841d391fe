"""The deadlines that our own client gives its calls, as a server sees them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from maywe.v1 import catalog_pb2, decision_pb2, decision_pb2_grpc
from maywe.v1.catalog_pb2_grpc import CatalogServiceServicer, add_CatalogServiceServicer_to_server

from service.client import open_client
from service.client.channel import LONG_CALL_TIMEOUT_SECONDS

pytestmark = pytest.mark.integration


class Noting(decision_pb2_grpc.DecisionServiceServicer, CatalogServiceServicer):
    """Notes how much time each call has left."""

    def __init__(self) -> None:
        self.seconds_left: list[float] = []

    def MayContact(  # noqa: N802 - the contract's name
        self, _: decision_pb2.MayContactRequest, context: grpc.ServicerContext
    ) -> decision_pb2.MayContactResponse:
        """Note it, and answer nothing."""
        self.seconds_left.append(context.time_remaining() or 0.0)
        return decision_pb2.MayContactResponse()

    def Publish(  # noqa: N802 - the contract's name
        self, _: catalog_pb2.PublishRequest, context: grpc.ServicerContext
    ) -> catalog_pb2.PublishResponse:
        """Note it, and answer nothing."""
        self.seconds_left.append(context.time_remaining() or 0.0)
        return catalog_pb2.PublishResponse()


@pytest.fixture
def noting() -> Iterator[tuple[Noting, str]]:
    """A server that notes deadlines, and its address."""
    servicer = Noting()
    server = grpc.server(ThreadPoolExecutor(1))
    decision_pb2_grpc.add_DecisionServiceServicer_to_server(servicer, server)
    add_CatalogServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer, f"127.0.0.1:{port}"
    server.stop(None).wait()


def test_a_call_has_the_whole_time_that_it_was_given(noting: tuple[Noting, str]) -> None:
    """Also a short time reaches the server as it is, but for the way there."""
    servicer, address = noting
    with open_client(address, address, 30.0) as client:
        client.decision.MayContact(decision_pb2.MayContactRequest(customer_id="anna"))
        client.decision.MayContact(decision_pb2.MayContactRequest(customer_id="anna"))
    assert 29.0 < servicer.seconds_left[-1] < 31.0


def test_calls_that_look_at_everybody_have_longer(noting: tuple[Noting, str]) -> None:
    """Whatever time the others have."""
    servicer, address = noting
    with open_client(address, address, 30.0) as client:
        client.catalog.Publish(catalog_pb2.PublishRequest())
    assert 30.0 < servicer.seconds_left[-1] <= LONG_CALL_TIMEOUT_SECONDS
