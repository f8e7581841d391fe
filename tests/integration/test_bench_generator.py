"""The load generator of the bench, against a real gRPC server."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from loadtests.generator import (
    ANSWER_SECONDS_MAX,
    OK,
    Job,
    Result,
    Target,
    run,
    shared_out,
    write_messages,
)
from loadtests.http2 import WINDOW_DEFAULT

pytestmark = pytest.mark.integration

SERVER_THREADS: Final = 32
MESSAGES: Final = [b"%d" % number * 50 for number in range(100)]
STOLEN_READINGS: Final = {3}
"""Two readings are made of each round; in the second round, the second one tells of a theft."""
IN_TWO_ROUNDS: Final[dict[str, Any]] = {
    "seconds": 0.2,
    "slice_seconds": 0.1,
    "rounds_factor_max": 3,
}
"""Up to six, where the host steals from some."""
RELEASE_SECONDS_MAX: Final = 30.0
Behaviour = Callable[[bytes, grpc.ServicerContext], bytes]


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[str]:
    """Serve one method that takes and gives bytes; give the address."""
    with ThreadPoolExecutor(SERVER_THREADS) as pool:
        server = grpc.server(pool)
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "Ask": grpc.unary_unary_rpc_method_handler(behaviour)
        }
        server.add_registered_method_handlers("bench.Test", handlers)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()


def load(
    tmp_path: Path,
    address: str,
    messages: Sequence[bytes] = MESSAGES,
    *,
    rate: float = 0.0,
    stolen: Callable[[], float] = lambda: 0.0,
    **fields: float,
) -> Result:
    """Load a server with some messages; `stolen` tells the seconds that the host took so far."""
    path = tmp_path / "messages"
    write_messages(path, messages)
    target = Target(address, "/bench.Test/Ask", str(path), os.getpid(), rate)
    job = Job(
        [target],
        **{"seconds": 0.3, "warm_up_seconds": 0.0, "kept_every": 1, **fields},  # type: ignore[arg-type]  # some of the fields are whole numbers
    )
    [result] = run(job, stolen)
    return result


def held_up_until(calls: int) -> Behaviour:
    """Answer nobody until so many calls were received; fail when they never are."""
    enough = threading.Event()
    received = count(1)

    def answer(request: bytes, _: grpc.ServicerContext) -> bytes:
        if next(received) >= calls:
            enough.set()
        assert enough.wait(RELEASE_SECONDS_MAX)
        return request

    return answer


def test_every_answer_is_counted_and_can_be_told_from_others(tmp_path: Path) -> None:
    """A kept answer belongs to the message that it is kept with, whatever came in between."""
    with serving(lambda request, _: request[::-1] * 3) as address:
        result = load(tmp_path, address, calls_under_way=24)
    assert result.statuses == {"0": result.calls}
    assert result.kept
    for number, answer in result.kept:
        assert bytes.fromhex(answer) == MESSAGES[number][::-1] * 3


def test_a_status_other_than_ok_is_counted_as_what_it_is(tmp_path: Path) -> None:
    """The status comes after the body, or instead of it; both kinds are told apart."""

    def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
        if request.startswith(b"9"):
            context.abort(grpc.StatusCode.NOT_FOUND, "no such message")
        return request

    with serving(answer) as address:
        result = load(tmp_path, address, calls_under_way=8)
    assert set(result.statuses) == {"0", "5"}
    assert sum(result.statuses.values()) == result.calls


def test_calls_that_connections_do_not_divide_evenly_are_not_rounded_up() -> None:
    """A server that takes so many calls at once need not refuse one of them."""
    assert shared_out(8, 5) == [2, 2, 2, 1, 1]
    assert shared_out(3, 5) == [1, 1, 1, 0, 0]


def test_rounds_that_the_host_stole_from_are_set_aside(tmp_path: Path) -> None:
    """Whatever the server did in them; so many count as were asked for."""
    readings = iter([0.0, 0.5, 0.5, 0.5, 0.5, 0.7, 0.7, 0.7])
    with serving(lambda request, _: request) as address:
        result = load(tmp_path, address, rate=200.0, stolen=lambda: next(readings), **IN_TWO_ROUNDS)
    assert next(readings, None) is None
    assert result.rounds_set_aside == 2


def test_what_rounds_set_aside_would_change_is_told(tmp_path: Path) -> None:
    """Calls that were shed in them count in no percentile but the one of all rounds."""
    readings: list[float] = []

    def stolen() -> float:
        readings.append(0.5 if len(readings) in STOLEN_READINGS else 0.0)
        return readings[-1]

    def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
        if len(readings) in STOLEN_READINGS:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "shed")
        return request

    with serving(answer) as address:
        result = load(tmp_path, address, rate=500.0, stolen=stolen, **IN_TWO_ROUNDS)
    assert result.rounds_set_aside == 1
    assert set(result.statuses) == {OK}
    assert set(result.statuses_of_all) == {OK, "8"}
    assert result.milliseconds["max"] < ANSWER_SECONDS_MAX * 1000
    assert result.milliseconds_p99_of_all == ANSWER_SECONDS_MAX * 1000


def test_at_most_so_many_times_the_rounds_are_done(tmp_path: Path) -> None:
    """Where the host always steals, those count of which it stole least."""
    readings = count(step=0.5)
    with serving(lambda request, _: request) as address:
        result = load(tmp_path, address, stolen=lambda: next(readings), **IN_TWO_ROUNDS)
    assert result.rounds_set_aside == 4


def test_an_open_loop_does_not_wait_for_answers(tmp_path: Path) -> None:
    """Calls that are due are sent though none before them was answered."""
    with serving(held_up_until(SERVER_THREADS // 2)) as address:
        result = load(tmp_path, address, rate=500.0, seconds=0.5)
    assert set(result.statuses) == {"0"}


def test_calls_come_due_while_the_last_ones_wait(tmp_path: Path) -> None:
    """A server that stands still at the end of a slice meets more calls than the slice has."""
    with serving(held_up_until(SERVER_THREADS // 2)) as address:
        result = load(tmp_path, address, rate=50.0, seconds=0.1)
    # About five are due in the time itself.
    assert result.calls > SERVER_THREADS // 4


def test_a_load_outlasts_the_windows_of_flow_control(tmp_path: Path) -> None:
    """More is sent on a connection than the server's window allows at once, and answered."""
    messages = [letter * (WINDOW_DEFAULT // 8) for letter in (b"a", b"b", b"c")]
    with serving(lambda request, _: request * 2) as address:
        result = load(tmp_path, address, messages, calls_under_way=24, connections=1)
    assert result.statuses == {"0": result.calls}
    assert sum(len(messages[number]) for number, _ in result.kept) > WINDOW_DEFAULT
    for number, answer in result.kept:
        assert bytes.fromhex(answer) == messages[number] * 2
