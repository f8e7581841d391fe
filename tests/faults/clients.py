"""The clients of a campaign: who narrows, who checks, who publishes, each in a thread of its own.

What lives here: their pace and their choices. What they note goes into the history; they judge
nothing.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Final

from maywe.v1 import catalog_pb2

from tests.faults.asking import Asker
from tests.faults.campaign_catalog import (
    CHANNELS,
    PARTNERS,
    SHARES_OF_SWITCHED_PARTNER,
    SWITCHED_CHANNEL,
    contact,
    document,
)
from tests.faults.history import EVERYBODY, Change
from tests.faults.sending import PUBLISH, Sender
from tests.faults.steps import Person, Step

PERSONS_PER_CLIENT: Final = 3
CHECK_SECONDS: Final = 0.02
QUIET_CHECK_SECONDS: Final = 0.1
"""From the answer to one check to the next of the same client; in quiet it is the latency of
narrowings that is measured, and not the clients."""

RECENT_MAX: Final = 6
RECENT_SHARE: Final = 0.7
"""How often a check is about somebody of whom something was written a moment ago."""

TOKEN_SHARE: Final = 0.2
AHEAD_SHARE: Final = 0.1
AHEAD_SECONDS: Final = 7200
"""Beyond the beginning of a restriction to come."""

BATCH_CUSTOMERS: Final = 5
AUDIENCE_CHUNKS: Final = 2


@dataclass(slots=True)
class Pace:
    """How fast checking clients go. Safe to be used by several threads."""

    check_seconds: float = QUIET_CHECK_SECONDS


class Attention:
    """Who is worth asking about now, and with which token. Safe to be used by several threads."""

    def __init__(self, customer_ids: Sequence[str]) -> None:
        """Know all customers."""
        self._customer_ids = customer_ids
        self._recent: deque[str] = deque(maxlen=RECENT_MAX)
        self._tokens: dict[str, tuple[str, str]] = {}

    def note(self, step: Step, token: str) -> None:
        """Take note of a write that was answered."""
        for customer_id in step.customer_ids:
            self._recent.append(customer_id)
            self._tokens[customer_id] = (token, step.write)

    def forget_tokens(self) -> None:
        """Forget the tokens of writes that a restored database does not know."""
        self._tokens = {}

    def choose(self, chance: random.Random) -> str:
        """Give a customer, more often than not one of the last."""
        recent = list(self._recent)
        if recent and chance.random() < RECENT_SHARE:
            return chance.choice(recent)
        return chance.choice(self._customer_ids)

    def token(self, customer_id: str, chance: random.Random) -> tuple[str, str]:
        """Give the token of the customer's last write and that write, or none."""
        if chance.random() < TOKEN_SHARE:
            return self._tokens.get(customer_id, ("", ""))
        return ("", "")


class NarrowingClient:
    """Opens and closes the scopes of persons of its own, and asks at once what came of it."""

    def __init__(
        self,
        persons: Sequence[Person],
        sender: Sender,
        askers: Sequence[Asker],
        attention: Attention,
        step_seconds: float,
        chance: random.Random,
    ) -> None:
        """Write through `sender` and ask each of `askers`."""
        self._step_seconds = step_seconds
        self._steps = [person.steps() for person in persons]
        self._sender = sender
        self._askers = askers
        self._attention = attention
        self._chance = chance

    def run(self, stopping: threading.Event) -> None:
        """Go on until told to stop."""
        for steps in cycle(self._steps):
            step = next(steps)
            if not self._sender.send(step, self._answered(step)):
                return
            # The instant after the answer is the one at which a stale answer is likeliest.
            for customer_id in step.customer_ids:
                for asker in self._chance.sample(self._askers, len(self._askers)):
                    asker.contact(customer_id, self._chance.choice(CHANNELS))
            if stopping.wait(self._step_seconds):
                return

    def _answered(self, step: Step) -> Callable[[str], None]:
        return lambda token: self._attention.note(step, token)


class CheckingClient:
    """Asks one decision server, all the time, about whoever is worth it."""

    def __init__(
        self, asker: Asker, attention: Attention, pace: Pace, chance: random.Random
    ) -> None:
        """Ask through `asker`."""
        self._asker = asker
        self._pace = pace
        self._attention = attention
        self._chance = chance

    def run(self, stopping: threading.Event) -> None:
        """Go on until told to stop."""
        asking = (*[self._ask_contact] * 5, *[self._ask_share] * 3, self._ask_batch)
        while not stopping.wait(self._pace.check_seconds):
            self._chance.choice((*asking, self._ask_audience))()

    def _ask_contact(self) -> None:
        customer_id, channel = self._customer(), self._chance.choice(CHANNELS)
        token = self._attention.token(customer_id, self._chance)
        is_ahead = self._chance.random() < AHEAD_SHARE
        self._asker.contact(customer_id, channel, token, AHEAD_SECONDS if is_ahead else 0)

    def _ask_share(self) -> None:
        customer_id = self._customer()
        token = self._attention.token(customer_id, self._chance)
        self._asker.share(customer_id, self._chance.choice(PARTNERS), token)

    def _ask_batch(self) -> None:
        customer_ids = [self._customer() for _ in range(BATCH_CUSTOMERS)]
        self._asker.batch(
            customer_ids, self._chance.choice(CHANNELS), self._chance.choice(PARTNERS)
        )

    def _ask_audience(self) -> None:
        chunks = [
            [self._customer() for _ in range(BATCH_CUSTOMERS)] for _ in range(AUDIENCE_CHUNKS)
        ]
        self._asker.audience(chunks, self._chance.choice(CHANNELS))

    def _customer(self) -> str:
        return self._attention.choose(self._chance)


class CatalogClient:
    """Publishes the catalog now and then, with one switch or the other turned."""

    def __init__(
        self, sender: Sender, publication_seconds: tuple[float, float], chance: random.Random
    ) -> None:
        """Publish through `sender`, after a rest between the shortest and the longest."""
        self._sender = sender
        self._publication_seconds = publication_seconds
        self._chance = chance
        self._is_partner_suspended = False
        self._is_channel_worded = True
        self._count = 0

    def publish_first(self) -> None:
        """Publish the catalog with everything open."""
        self._send((), ())

    def run(self, stopping: threading.Event) -> None:
        """Go on until told to stop."""
        while not stopping.wait(self._chance.uniform(*self._publication_seconds)):
            if self._chance.random() < 0.5:
                self._is_partner_suspended = not self._is_partner_suspended
                change = Change(EVERYBODY, "suspension", SHARES_OF_SWITCHED_PARTNER)
                self._send_change(change, is_closing=self._is_partner_suspended)
            else:
                self._is_channel_worded = not self._is_channel_worded
                change = Change(EVERYBODY, "wording", (contact(SWITCHED_CHANNEL),))
                self._send_change(change, is_closing=not self._is_channel_worded)

    def _send_change(self, change: Change, *, is_closing: bool) -> None:
        self._send(() if is_closing else (change,), (change,) if is_closing else ())

    def _send(self, opens: tuple[Change, ...], closes: tuple[Change, ...]) -> None:
        self._count += 1
        publication_id = f"publication:{self._count}:{time.monotonic_ns()}"
        request = catalog_pb2.PublishRequest(
            publication_id=publication_id,
            document=document(
                is_partner_suspended=self._is_partner_suspended,
                is_channel_worded=self._is_channel_worded,
            ),
            publisher="campaign",
        )
        layers = ", ".join(change.layer for change in (*opens, *closes))
        what = f"publication that {'closes' if closes else 'opens'} {layers}"
        step = Step(publication_id, what, PUBLISH, request, opens, closes)
        self._sender.send(step, lambda _: None)
