"""Limits of callers hold for all processes together, told by way of Redis."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import grpc
import pytest

from decision.errors import OverloadedError, UnavailableError
from service.access.limits import Limiter
from service.access.roles import Caller, CallerLimits, CallerRole, RoleKind
from store.demand import Demand, SharedDemand
from store.redis_client import RedisClient, open_client
from tests.access import ended_with
from tests.authority import AUDIENCE, ISSUER, TokenIssuer
from tests.running import running_maywe

pytestmark = pytest.mark.integration

LIMIT: Final = 100
ROUND_SECONDS: Final = 0.5

SECONDS_MAX: Final = 60.0
"""A bound against hanging; not a performance claim."""


class Clock:
    """A clock that stands until it is set."""

    now = 1000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def caller(name: str = "dialer") -> Caller:
    """Somebody with the limit that everybody has."""
    return Caller(name, [CallerRole(RoleKind.DECISION_READ)])


@pytest.fixture
def client(redis_url: str) -> Iterator[RedisClient]:
    """Redis."""
    with open_client(redis_url) as opened:
        yield opened


class Processes:
    """Processes that count for themselves, and compare from time to time."""

    def __init__(self, client: RedisClient, namespace: str, count: int) -> None:
        """Begin without a call."""
        self.clock = Clock()
        self._limiters = [
            Limiter(CallerLimits(LIMIT), self.clock, SharedDemand(client, namespace).of_others)
            for _ in range(count)
        ]

    def admitted(self, *asked: int) -> int:
        """Have each process asked so often, evenly over a round, compare, and count admitted."""
        admitted = 0
        begin = self.clock.now
        for limiter, count in zip(self._limiters, asked, strict=True):
            for number in range(count):
                self.clock.now = begin + ROUND_SECONDS * number / count
                try:
                    limiter.take_call(caller())
                except OverloadedError:
                    continue
                admitted += 1
        self.clock.now = begin + ROUND_SECONDS
        for limiter in self._limiters:
            limiter.compare()
        return admitted


@pytest.mark.parametrize("asked", [(200, 200, 200, 200), (600, 100, 50, 5), (800, 0, 0, 0)])
def test_together_they_admit_what_one_would(
    client: RedisClient, redis_namespace: str, asked: tuple[int, ...]
) -> None:
    """However calls are spread; a caller of one process has all of its limit there."""
    processes = Processes(client, redis_namespace.strip(":"), len(asked))
    for _ in range(6):
        processes.admitted(*asked)
    rounds = 10
    admitted = sum(processes.admitted(*asked) for _ in range(rounds))
    allowed = LIMIT * ROUND_SECONDS * rounds
    # One call in a second is admitted anywhere.
    assert 0.8 * allowed <= admitted <= 1.2 * allowed + len(asked) * ROUND_SECONDS * rounds


def test_streams_with_other_processes_count(
    client: RedisClient, redis_namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that one has, another one leaves; who was refused is not counted."""
    monkeypatch.setattr("store.demand.HEARD_MILLISECONDS", 600_000)
    namespace = redis_namespace.strip(":")
    one, other = (
        Limiter(CallerLimits(streams=3), of_others=SharedDemand(client, namespace).of_others)
        for _ in range(2)
    )
    one.open_stream(caller())
    one.open_stream(caller())
    close = other.open_stream(caller())
    with pytest.raises(OverloadedError, match="streams"):
        other.open_stream(caller())
    close()
    other.open_stream(caller())


def test_what_others_said_is_forgotten(
    client: RedisClient, redis_namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is too old; what we said ourselves is not given back."""
    monkeypatch.setattr("store.demand.HEARD_MILLISECONDS", 50)
    namespace = redis_namespace.strip(":")
    one, other = SharedDemand(client, namespace), SharedDemand(client, namespace)
    other.of_others({"dialer": Demand(300.0, 2)})
    ends_at = time.monotonic() + SECONDS_MAX
    while one.of_others({"dialer": Demand(100.0, 1)}) != {"dialer": Demand()}:
        assert time.monotonic() < ends_at


def test_redis_is_not_told_who_calls(client: RedisClient, redis_namespace: str) -> None:
    """A customer is one by their name."""
    demand = SharedDemand(client, redis_namespace.strip(":"))
    demand.of_others({"olga@mail.example": Demand(10.0)})
    keys = list(client.scan(f"{redis_namespace}*", 100))
    assert len(keys) == 1
    assert b"olga" not in keys[0]


def test_a_server_tells_the_others_who_calls_it_often(
    database_url: str, redis_url: str, redis_namespace: str, client: RedisClient, tmp_path: Path
) -> None:
    """All the time, and of itself."""
    issuer = TokenIssuer(tmp_path / "keys.json")
    with (
        running_maywe(
            database_url,
            redis_url,
            redis_namespace.strip(":"),
            token_keys=str(issuer.file),
            token_issuer=ISSUER,
            token_audience=AUDIENCE,
        ) as maywe,
        grpc.insecure_channel(maywe.address) as channel,
    ):
        token = issuer.token(["decision.read"])
        ends_at = time.monotonic() + SECONDS_MAX
        while not list(client.scan(f"{redis_namespace}*:caller:*", 100)):
            ended_with(channel, "/maywe.v1.DecisionService/MayContact", None, token)
            assert time.monotonic() < ends_at


def test_callers_far_from_their_limit_are_not_compared() -> None:
    """Most callers are, and each comparison asks Redis."""
    clock = Clock()
    said: list[Mapping[str, Demand]] = []

    def hear(ours: Mapping[str, Demand]) -> Mapping[str, Demand]:
        said.append(ours)
        return {}

    limiter = Limiter(CallerLimits(1000), clock, hear)
    for _ in range(10):
        limiter.take_call(caller("seldom"))
    for _ in range(100):
        limiter.take_call(caller("often"))
    for _ in range(2):
        clock.now += 1.0
        limiter.compare()
    assert said == [{"often": Demand(100.0)}, {}]


def test_without_redis_each_process_counts_for_itself() -> None:
    """As the limit says."""
    with open_client("redis://127.0.0.1:9", 0.2) as lost:
        others = SharedDemand(lost, "maywe").of_others
        with pytest.raises(UnavailableError):
            others({"dialer": Demand(10.0)})
        limiter = Limiter(CallerLimits(streams=1), of_others=others)
        limiter.open_stream(caller())
        with pytest.raises(OverloadedError, match="streams"):
            limiter.open_stream(caller())
