"""Refused calls: how they are logged in crowds, and how strangers are counted."""

from typing import Any

import grpc
import pytest
from maywe.v1 import consent_pb2

from decision.errors import OverloadedError
from service.access.refusals import (
    KINDS_MAX,
    REPEATS_LOG_SECONDS,
    REQUEST_IDS_MAX,
    Refusal,
    RefusalLog,
)
from service.access.strangers import HOSTS_MAX, REFUSALS_PER_SECOND, Strangers, host_of
from service.access.table import TABLE, Rule
from service.awaiting import RequestWaits
from service.executors import open_executors, watchers_of
from service.guards import guarded_handler
from service.instruments import Instruments
from service.logs.requests import REQUEST_ID, serving

PEER = "ipv4:10.0.0.7:4000"


class Clock:
    """A clock that stands until it is set."""

    now = 0.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def _refusal(number: int = 0) -> Refusal:
    return Refusal(f"key-{number}", "somebody", "/a/B", "no reason")


def test_a_crowd_is_logged_at_once_and_counted_to_the_last(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The rest is logged although no more come."""
    clock = Clock()
    log = RefusalLog(clock)
    for _ in range(100):
        log.add(_refusal())
    log.flush()
    assert caplog.messages == ["refused /a/B to somebody: no reason"]
    clock.now = REPEATS_LOG_SECONDS
    log.flush()
    assert caplog.messages[1:] == ["refused /a/B to somebody: no reason (99 times)"]
    clock.now *= 2
    log.flush()
    log.add(_refusal())
    assert caplog.messages[2:] == ["refused /a/B to somebody: no reason"]


class Call:
    """A call, of which is known only what its caller sent along."""

    def __init__(self, request_id: str) -> None:
        self._metadata = ((REQUEST_ID, request_id),)

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        """What the caller sent along."""
        return self._metadata


def test_the_first_few_of_a_crowd_are_named_by_their_requests(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Those of each time of logging; whoever else is in it is only counted."""
    clock = Clock()
    log = RefusalLog(clock)

    def crowd(first: int, count: int) -> list[str]:
        for number in range(first, first + count):
            with serving(Call(f"request-{number}")):  # type: ignore[arg-type]  # all that is asked of it
                log.add(_refusal())
        clock.now += REPEATS_LOG_SECONDS
        log.flush()
        fields: dict[str, Any] = caplog.records[-1].__dict__["fields"]
        assert fields["count"] == count - (first == 0)
        ids: list[str] = fields["request_ids"]
        return ids

    assert crowd(0, 10) == [f"request-{number}" for number in range(1, REQUEST_IDS_MAX + 1)]
    assert "request_ids" not in caplog.records[0].__dict__["fields"], "its line has its own id"
    assert crowd(10, 2) == ["request-10", "request-11"]
    clock.now += REPEATS_LOG_SECONDS
    log.add(_refusal())
    log.add(_refusal())
    clock.now += REPEATS_LOG_SECONDS
    log.flush()
    assert caplog.records[-1].__dict__["fields"]["request_ids"] == []


def test_kinds_beyond_a_number_are_counted_together(caplog: pytest.LogCaptureFixture) -> None:
    """None is left out, and memory is bounded."""
    clock = Clock()
    log = RefusalLog(clock)
    for number in range(KINDS_MAX + 10):
        log.add(_refusal(number))
    clock.now = REPEATS_LOG_SECONDS
    log.flush()
    assert caplog.messages[KINDS_MAX:] == [
        "refused several calls to others: several reasons",
        "refused several calls to others: several reasons (9 times)",
    ]


def test_too_many_strangers_of_one_host_have_to_wait() -> None:
    """Whichever ports they come from; others do not, and after a moment nobody does."""
    clock = Clock()
    strangers = Strangers(clock)
    for port in range(REFUSALS_PER_SECOND):
        strangers.refuse_if_too_many(f"ipv4:10.0.0.7:{port}")
        strangers.count(f"ipv4:10.0.0.7:{port}")
    with pytest.raises(OverloadedError, match="could not be identified"):
        strangers.refuse_if_too_many(PEER)
    strangers.refuse_if_too_many("ipv4:10.0.0.8:4000")
    clock.now = 1.0
    strangers.refuse_if_too_many(PEER)


def test_hosts_are_counted_in_bounded_memory() -> None:
    """However many addresses somebody has."""
    strangers = Strangers(Clock())
    for number in range(HOSTS_MAX + 5):
        strangers.count(f"ipv4:10.{number >> 16}.{number >> 8 & 255}.{number & 255}:1")
    assert strangers.count_of_hosts <= HOSTS_MAX


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        (PEER, "10.0.0.7"),
        ("ipv6:%5B2001:db8::1:2:3:4%5D:4000", "2001:db8::/64"),
        ("ipv6:[2001:db8::9]:4000", "2001:db8::/64"),
        ("ipv6:%5Bfe80::1%25eth0%5D:4000", "fe80::/64"),
        ("unix:", "unix"),
        ("", ""),
    ],
)
def test_a_host_is_told_by_its_address(peer: str, host: str) -> None:
    """By the network in IPv6, of which one machine has as many addresses as it likes."""
    assert host_of(peer) == host


def test_a_stream_that_a_role_may_have_in_part_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing would check what a stream asks about."""
    method = "/maywe.v1.ConsentService/WatchChanges"
    rules = TABLE[method]
    assert not hasattr(rules, "told")
    parts = {kind: Rule("own") for kind in rules}  # type: ignore[union-attr]  # not open
    monkeypatch.setitem(TABLE, method, parts)
    handler: Any = grpc.unary_stream_rpc_method_handler(lambda _request, _context: iter(()))
    with open_executors() as executors, pytest.raises(ValueError, match="in full or not at all"):
        guarded_handler(
            handler,
            consent_pb2.WatchChangesRequest,
            executors.of(method),
            method,
            object(),  # type: ignore[arg-type]  # a gate
            watchers_of(method, Instruments()),
            RequestWaits(),
        )
