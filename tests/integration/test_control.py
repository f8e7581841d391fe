"""The private way to a decision process: who answers, when, and how soon after a break."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import grpc
import pytest
from sqlalchemy import Engine

from service.control import client as control_client
from service.control.client import ControlClient, Process
from service.control.messages import RAISE_FLOORS, SERVICE
from service.control.server import ControlListenError, ControlServer
from store.floors import CustomerFloor, Narrowing
from store.guard import GuardKeeper
from store.publications import Catalogs
from tests.integration.lease_builders import WAIT_SECONDS_MAX
from tests.waiting import until

pytestmark = pytest.mark.integration


class HeldCatalogs(Catalogs):
    """Catalogs of which every load waits until it is let through."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.loads: list[int | None] = []
        self.may_load = threading.Event()

    def refresh(self, at_least: int | None = None, epoch: int = 0) -> Any:
        """Load, when that is let through."""
        self.loads.append(at_least)
        assert self.may_load.wait(WAIT_SECONDS_MAX)
        return super().refresh(at_least, epoch)


@pytest.fixture
def catalogs(engine: Engine) -> HeldCatalogs:
    """The catalogs of a decision process."""
    return HeldCatalogs(engine)


@pytest.fixture
def keeper() -> GuardKeeper:
    """The guard of a decision process."""
    return GuardKeeper()


@pytest.fixture
def address(keeper: GuardKeeper, catalogs: Catalogs) -> Iterator[str]:
    """Where process `p` is told."""
    with ControlServer(keeper, catalogs, "p", "127.0.0.1:0") as server:
        yield server.address


@pytest.fixture
def client() -> Iterator[ControlClient]:
    """A writer's client."""
    opened = ControlClient()
    yield opened
    opened.close()


def floor_of(customer_id: str) -> Narrowing:
    """Something that was taken away from a customer."""
    return Narrowing(1, (CustomerFloor(customer_id, 7, 3),))


def tell(client: ControlClient, process: Process, narrowing: Narrowing) -> SimpleQueue[bool]:
    """Tell once, and give where the outcome arrives."""
    outcome = SimpleQueue[bool]()
    client.tell(process, narrowing, outcome.put)
    return outcome


def is_told(client: ControlClient, process: Process, narrowing: Narrowing) -> bool:
    """Tell once and wait for the outcome."""
    return tell(client, process, narrowing).get(timeout=WAIT_SECONDS_MAX)


def raw_call(address: str, data: bytes) -> grpc.StatusCode:
    """Send bytes to the control server and give the status."""
    with grpc.insecure_channel(address) as channel:
        call: grpc.UnaryUnaryMultiCallable[Any, Any] = channel.unary_unary(
            f"/{SERVICE}/{RAISE_FLOORS}"
        )
        future = call.future(data, timeout=WAIT_SECONDS_MAX)
        future.exception(WAIT_SECONDS_MAX)
        return future.code()


def test_an_answer_says_that_the_floors_are_raised(
    keeper: GuardKeeper, address: str, client: ControlClient
) -> None:
    """Every check that begins after the answer heeds them."""
    narrowing = Narrowing(1, (CustomerFloor("ольга", 7, 3),), narrowed_at=5)
    assert is_told(client, Process("p", address), narrowing)
    guard = keeper.current()
    assert guard.customers["ольга"] == CustomerFloor("ольга", 7, 3)
    assert guard.narrowed_at == 5


def test_another_process_at_the_address_does_not_answer(
    keeper: GuardKeeper, address: str, client: ControlClient
) -> None:
    """It took the port over; the one that is meant heard nothing."""
    assert not is_told(client, Process("before", address), floor_of("olga"))
    assert not keeper.current().customers


def test_what_is_not_understood_is_refused(keeper: GuardKeeper, address: str) -> None:
    """The fault is the sender's, and nothing of it is heeded."""
    assert raw_call(address, b"{") == grpc.StatusCode.INVALID_ARGUMENT
    assert not keeper.current().customers


def test_a_port_is_not_shared(address: str, keeper: GuardKeeper, catalogs: Catalogs) -> None:
    """Two processes at one address would answer for each other."""
    with pytest.raises(ControlListenError), ControlServer(keeper, catalogs, "q", address):
        pass


def test_loading_a_catalog_holds_up_no_customer(
    keeper: GuardKeeper, catalogs: HeldCatalogs, address: str, client: ControlClient
) -> None:
    """Nor its own floor; the publication itself is answered when the catalog is loaded."""
    process = Process("p", address)
    published = tell(client, process, Narrowing(1, publication=4))
    until(lambda: catalogs.loads == [4])
    assert keeper.current().publication == 4
    assert is_told(client, process, floor_of("olga"))
    assert published.empty()
    catalogs.may_load.set()
    assert published.get(timeout=WAIT_SECONDS_MAX)


def test_a_catalog_that_can_not_be_loaded_is_answered_all_the_same(
    keeper: GuardKeeper, client: ControlClient, no_postgresql: Engine
) -> None:
    """The floor counts without it."""
    with ControlServer(keeper, Catalogs(no_postgresql), "p", "127.0.0.1:0") as server:
        assert is_told(client, Process("p", server.address), Narrowing(1, publication=4))
    assert keeper.current().publication == 4


def test_what_comes_during_a_call_goes_with_the_next(
    catalogs: HeldCatalogs, client: ControlClient
) -> None:
    """A thousand narrowings at once are a few calls, and every one is answered."""
    keeper = HeldKeeper()
    with ControlServer(keeper, catalogs, "p", "127.0.0.1:0") as server:
        process = Process("p", server.address)
        first = tell(client, process, floor_of("first"))
        assert keeper.is_entered.wait(WAIT_SECONDS_MAX)
        others = [tell(client, process, floor_of(f"c{number}")) for number in range(1000)]
        assert first.empty()
        keeper.may_pass.set()
        assert all(outcome.get(timeout=WAIT_SECONDS_MAX) for outcome in (first, *others))
    assert len(keeper.current().customers) == 1001
    assert keeper.threads_at_once == 1


class HeldKeeper(GuardKeeper):
    """A keeper that waits until it is let through, and notes how many are in it at once."""

    def __init__(self) -> None:
        super().__init__()
        self.is_entered = threading.Event()
        self.may_pass = threading.Event()
        self.threads_at_once = 0
        self._inside = 0

    def raise_floors(self, narrowing: Narrowing) -> None:
        """Raise floors, when that is let through."""
        self._inside += 1
        self.threads_at_once = max(self.threads_at_once, self._inside)
        self.is_entered.set()
        assert self.may_pass.wait(WAIT_SECONDS_MAX)
        super().raise_floors(narrowing)
        self._inside -= 1


def test_who_does_not_listen_fails_at_once(client: ControlClient) -> None:
    """So that whoever tells can look for what became of the process."""
    assert not is_told(client, Process("p", "127.0.0.1:1"), floor_of("olga"))


@contextmanager
def silent_listener() -> Iterator[str]:
    """Something at an address that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_after_silence_a_new_connection_is_made(
    keeper: GuardKeeper,
    catalogs: Catalogs,
    client: ControlClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The one that is silent may be broken without a trace."""
    monkeypatch.setattr(control_client, "TRY_SECONDS_MAX", 0.2)
    with silent_listener() as address:
        process = Process("p", address)
        assert not is_told(client, process, floor_of("olga"))
    monkeypatch.undo()
    with ControlServer(keeper, catalogs, "p", address):
        until(lambda: is_told(client, process, floor_of("olga")))
    assert "olga" in keeper.current().customers


def test_a_process_that_comes_back_is_reached_again(
    keeper: GuardKeeper, catalogs: Catalogs, client: ControlClient
) -> None:
    """On the connection that failed before."""
    with ControlServer(keeper, catalogs, "p", "127.0.0.1:0") as server:
        process = Process("p", server.address)
        assert is_told(client, process, floor_of("olga"))
    until(lambda: not is_told(client, process, floor_of("anna")))
    with ControlServer(keeper, catalogs, "p", process.address):
        until(lambda: is_told(client, process, floor_of("anna")))
    assert "anna" in keeper.current().customers


def test_closing_fails_what_is_under_way_and_what_waits(
    catalogs: HeldCatalogs, client: ControlClient
) -> None:
    """Nobody is left waiting for an answer that cannot come."""
    keeper = HeldKeeper()
    with ControlServer(keeper, catalogs, "p", "127.0.0.1:0") as server:
        process = Process("p", server.address)
        outcomes = [tell(client, process, floor_of("first"))]
        assert keeper.is_entered.wait(WAIT_SECONDS_MAX)
        outcomes.append(tell(client, process, floor_of("second")))
        client.keep_only([Process("other", server.address)])
        assert [outcome.get(timeout=WAIT_SECONDS_MAX) for outcome in outcomes] == [False, False]
        keeper.may_pass.set()
        assert is_told(client, process, floor_of("third"))
