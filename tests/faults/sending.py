"""Sending writes until they are answered, and again what a restored database has lost.

What lives here: the one way in which a client of a campaign writes, and what it notes of it. What
is written is the clients' affair.
"""

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import grpc
from maywe.v1 import common_pb2
from maywe.v1.catalog_pb2_grpc import CatalogServiceStub
from maywe.v1.writer_pb2_grpc import WriterServiceStub

from tests.faults.history import Acknowledged, History, Refused, Restored, Sent, now
from tests.faults.steps import Step
from tests.faults.writes import is_void_by

WRITE_SECONDS_MAX: Final = 8.0
PAUSE_SECONDS: Final = 0.1
"""Between two attempts at the same write."""

REPEATS_FOR_EFFECTIVE_MAX: Final = 5
"""How often a narrowing that is only durable is sent again, which acknowledges it anew."""

PUBLISH: Final = "Publish"

CHANNEL_OPTIONS: Final = (
    # Every failure is to be seen, and a server that is back is to be found at once.
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 300),
    # One connection for each channel, as between separate machines.
    ("grpc.use_local_subchannel_pool", 1),
)


def open_channel(port: int) -> grpc.Channel:
    """Open a channel to a port of loopback, without retries."""
    return grpc.insecure_channel(f"127.0.0.1:{port}", CHANNEL_OPTIONS)


class Restores:
    """The restores so far. Safe to be used by several threads."""

    def __init__(self) -> None:
        """Begin without any."""
        self.done: tuple[Restored, ...] = ()

    def add(self, restored: Restored) -> None:
        """Let every sender send again what may be lost."""
        self.done = (*self.done, restored)


@dataclass(slots=True)
class Entry:
    """A step that was sent, and the last answer to it."""

    step: Step
    is_settled: bool = False
    sent_at: int = 0
    answered_at: int = 0


class Sender:
    """Sends the steps of one client, in order, at either writer. For one thread."""

    def __init__(
        self,
        channels: Sequence[grpc.Channel],
        history: History,
        restores: Restores,
        stopping: threading.Event,
        chance: random.Random,
    ) -> None:
        """Write to any of `channels`, until `stopping` is set."""
        self._writers: list[Any] = [WriterServiceStub(channel) for channel in channels]
        self._catalogs: list[Any] = [CatalogServiceStub(channel) for channel in channels]
        self._history = history
        self._restores = restores
        self._restores_heeded = 0
        self._stopping = stopping
        self._chance = chance
        self._entries: list[Entry] = []

    def send(self, step: Step, answered: Callable[[str], None]) -> bool:
        """Send a step until it is answered, and tell `answered` its token. False when stopping."""
        self._entries.append(Entry(step))
        self._history.add(Sent(step.write, now(), step.what, step.opens, step.closes))
        while not self._stopping.is_set():
            self._unsettle_what_may_be_lost()
            entry = next((entry for entry in self._entries if not entry.is_settled), None)
            if entry is None:
                return True
            token = self._settle(entry)
            if token and entry.step is step:
                answered(token)
        return False

    def _unsettle_what_may_be_lost(self) -> None:
        restores = self._restores.done
        if len(restores) == self._restores_heeded:
            # What was under way during the last restore was answered only now.
            recent = self._entries[-1:]
        else:
            recent = self._entries
            self._restores_heeded = len(restores)
        for entry in recent:
            if any(is_void_by(entry.sent_at, entry.answered_at, restored) for restored in restores):
                entry.is_settled = False
                entry.sent_at = entry.answered_at = 0

    def _settle(self, entry: Entry) -> str:
        """Attempt a step until it is answered well; give its token, empty when it has to wait."""
        token = ""
        for _ in range(REPEATS_FOR_EFFECTIVE_MAX):
            acknowledgement = self._attempt(entry)
            if acknowledgement is None:
                return ""
            token = acknowledgement.token
            if not entry.step.closes or _is_effective(acknowledgement):
                break
            self._stopping.wait(PAUSE_SECONDS)
        entry.is_settled = True
        return token

    def _attempt(self, entry: Entry) -> common_pb2.Acknowledgement | None:
        step, sent_at = entry.step, now()
        stubs = self._catalogs if step.method == PUBLISH else self._writers
        call = getattr(self._chance.choice(stubs), step.method)
        try:
            answer = call(step.request, timeout=WRITE_SECONDS_MAX)
        except grpc.RpcError as error:
            self._history.add(Refused(step.write, sent_at, now(), error.code().name))
            self._stopping.wait(PAUSE_SECONDS)
            return None
        entry.sent_at, entry.answered_at = sent_at, now()
        acknowledgement: common_pb2.Acknowledgement = answer.acknowledgement
        self._history.add(
            Acknowledged(step.write, sent_at, entry.answered_at, _is_effective(acknowledgement))
        )
        return acknowledgement


def _is_effective(acknowledgement: common_pb2.Acknowledgement) -> bool:
    return acknowledgement.durability == common_pb2.DURABILITY_EFFECTIVE
