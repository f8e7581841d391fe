"""What customers do: the steps by which a person's scopes are opened and closed, again and again.

What lives here: for each step the request and what it opens and closes, which is all that the judge
knows of its meaning. A step relies on those before it having been answered.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp
from maywe.v1 import common_pb2, event_pb2

from store.sharding import shard_of
from tests.faults.campaign_catalog import (
    CHANNELS,
    CONSENT,
    PRODUCT_CONSENT,
    PRODUCT_TYPE,
    SCOPES,
    contact,
)
from tests.faults.history import Change

FUTURE_RESTRICTION_SECONDS: Final = 3600
MICROSECONDS_PER_SECOND: Final = 1_000_000

SHARDS: Final = 4

GRANTED: Final = "granted"
REFUSED: Final = "refused"

_CONSENT: Final = "consent"
_RESTRICTION: Final = "restriction"
_LATER: Final = "restriction to come"
_MERGE: Final = "merge"


@dataclass(frozen=True, slots=True)
class Step:
    """A write: the call, its request, and what it opens and closes."""

    write: str
    what: str
    method: str
    request: Any
    opens: tuple[Change, ...] = ()
    closes: tuple[Change, ...] = ()

    @property
    def customer_ids(self) -> set[str]:
        """Whom it concerns."""
        return {change.customer_id for change in (*self.opens, *self.closes)}


def in_few_shards(name: str) -> str:
    """Give an id that begins with a name, in one of the few shards that all customers share.

    So what is written of one moves the shard of others, as among millions.
    """
    return next(
        customer_id
        for customer_id in (f"{name}-{number}" for number in count())
        if shard_of(customer_id) < SHARDS
    )


class Person:
    """A customer with two more ids: one that is merged into theirs, one that is held back for ever.

    Steps come in rounds, each of which begins and ends with everything closed.
    """

    def __init__(self, customer_id: str, chance: random.Random) -> None:
        """Begin without any event."""
        self.customer_id = in_few_shards(customer_id)
        self.second_id = in_few_shards(f"{customer_id}-second")
        self.barred_id = in_few_shards(f"{customer_id}-barred")
        self._chance = chance
        self._count = 0
        self._last_instant = 0
        # Scopes of the customer's own consent that this round has closed already.
        self._closed: frozenset[str] = frozenset()

    @property
    def ids(self) -> tuple[str, str, str]:
        """All ids."""
        return self.customer_id, self.second_id, self.barred_id

    def steps(self) -> Iterator[Step]:
        """Give steps without end."""
        yield self._restrict(self.barred_id, _RESTRICTION)[0]
        while True:
            yield from self._round()

    def _round(self) -> Iterator[Step]:
        self._closed = frozenset()
        is_by_consent = self._chance.random() < 0.5
        grant = self._consent(GRANTED) if is_by_consent else self._purchase()
        yield grant
        for detour in self._chance.sample(self._detours(), k=self._chance.randrange(3)):
            yield from detour()
        is_doubled = self._chance.random() < 0.3
        if is_doubled:
            yield from self._double()
        closing = self._chance.choice(self._closings(grant, is_by_consent=is_by_consent))
        yield closing(self._everything_closes(is_doubled=is_doubled))
        if is_doubled:
            yield self._split(self.second_id, "split the second id")

    def _detours(self) -> list[Callable[[], Iterator[Step]]]:
        return [
            self._restricted,
            self._restricted_later,
            self._barred,
            self._double_and_split,
            self._channel_revoked,
        ]

    def _closings(
        self, grant: Step, *, is_by_consent: bool
    ) -> list[Callable[[tuple[Change, ...]], Step]]:
        consent_type = CONSENT if is_by_consent else PRODUCT_CONSENT
        closings = [
            lambda closes: self._revoke("revoke all", common_pb2.Selector(all=True), closes),
            lambda closes: self._revoke(
                "revoke the type", common_pb2.Selector(consent_type=consent_type), closes
            ),
            lambda closes: self._revoke(
                "revoke the event", common_pb2.Selector(event_id=grant.write), closes
            ),
            lambda closes: self._void(grant, closes),
        ]
        if is_by_consent:
            closings.append(lambda closes: self._consent(REFUSED, closes))
        else:
            closings.append(lambda closes: self._close_product(grant, closes))
        return closings

    def _everything_closes(self, *, is_doubled: bool) -> tuple[Change, ...]:
        ids = (self.customer_id, self.second_id) if is_doubled else (self.customer_id,)
        return tuple(Change(customer_id, _CONSENT, SCOPES) for customer_id in ids)

    def _restricted(self) -> Iterator[Step]:
        restriction, lift = self._restrict(self.customer_id, _RESTRICTION)
        yield restriction
        yield lift()

    def _restricted_later(self) -> Iterator[Step]:
        restriction, lift = self._restrict(
            self.customer_id, _LATER, FUTURE_RESTRICTION_SECONDS * MICROSECONDS_PER_SECOND
        )
        yield restriction
        yield lift()

    def _barred(self) -> Iterator[Step]:
        changes = (Change(self.customer_id, _MERGE, SCOPES),)
        yield self._merge(
            self.customer_id, self.barred_id, "merge into a barred id", closes=changes
        )
        yield self._split(self.customer_id, "split from the barred id", opens=changes)

    def _double(self) -> Iterator[Step]:
        """Merge the second id into the customer's: from then on it answers as theirs does."""
        opened = tuple(scope for scope in SCOPES if scope not in self._closed)
        changes = (Change(self.second_id, _CONSENT, opened),)
        yield self._merge(self.second_id, self.customer_id, "merge a second id", opens=changes)

    def _double_and_split(self) -> Iterator[Step]:
        yield from self._double()
        changes = (Change(self.second_id, _CONSENT, SCOPES),)
        yield self._split(self.second_id, "split an id that has nothing", closes=changes)

    def _channel_revoked(self) -> Iterator[Step]:
        channel = self._chance.choice(CHANNELS)
        selector = common_pb2.Selector(channel=channel)
        changes = (Change(self.customer_id, _CONSENT, (contact(channel),)),)
        yield self._revoke("revoke a channel", selector, changes)
        # Given anew, so that what follows need not know of it; by a consent, whatever was before.
        again = self._consent(GRANTED)
        yield again
        # The earlier grant still holds, but for the channel.
        selector = common_pb2.Selector(event_id=again.write)
        yield self._revoke("revoke the later of two", selector, changes)
        self._closed = frozenset((contact(channel),))

    def _consent(self, value: str, closes: tuple[Change, ...] = ()) -> Step:
        write = self._next_id()
        request = event_pb2.RecordConsentRequest(
            event_id=write,
            customer_id=self.customer_id,
            obtained_at=self._instant(),
            consent_type=CONSENT,
            value=value,
        )
        opens = () if closes else self._opens()
        what = "refuse" if closes else "consent"
        return Step(write, what, "RecordConsent", request, opens, closes)

    def _opens(self) -> tuple[Change, ...]:
        return (Change(self.customer_id, _CONSENT, SCOPES),)

    def _purchase(self) -> Step:
        write = self._next_id()
        request = event_pb2.RecordPurchaseRequest(
            event_id=write,
            customer_id=self.customer_id,
            purchased_at=self._instant(),
            product=common_pb2.Product(product_type=PRODUCT_TYPE, number=write),
        )
        return Step(write, "purchase", "RecordPurchase", request, self._opens())

    def _close_product(self, purchase: Step, closes: tuple[Change, ...]) -> Step:
        write = self._next_id()
        request = event_pb2.CloseProductRequest(
            event_id=write,
            customer_id=self.customer_id,
            closed_at=self._instant(),
            product=purchase.request.product,
        )
        return Step(write, "close the product", "CloseProduct", request, closes=closes)

    def _revoke(self, what: str, selector: common_pb2.Selector, closes: tuple[Change, ...]) -> Step:
        write = self._next_id()
        request = event_pb2.RevokeRequest(
            event_id=write,
            customer_id=self.customer_id,
            revoked_at=self._instant(),
            selector=selector,
        )
        return Step(write, what, "Revoke", request, closes=closes)

    def _void(self, grant: Step, closes: tuple[Change, ...]) -> Step:
        write = self._next_id()
        request = event_pb2.VoidEventRequest(
            event_id=write, voided_event_id=grant.write, cause="recorded by mistake"
        )
        return Step(write, "void the grant", "VoidEvent", request, closes=closes)

    def _restrict(
        self, customer_id: str, layer: str, in_microseconds: int = 0
    ) -> tuple[Step, Callable[[], Step]]:
        """Give a restriction, and what lifts it."""
        write = self._next_id()
        effective_from = self._instant(in_microseconds)
        request = event_pb2.RestrictRequest(
            event_id=write,
            customer_id=customer_id,
            kind="do_not_contact",
            selector=common_pb2.Selector(all=True),
            effective_from=effective_from,
        )
        from_instant = effective_from.ToMicroseconds() if in_microseconds else None
        closes = (Change(customer_id, layer, SCOPES, from_instant),)
        opens = (Change(customer_id, layer, SCOPES),)
        step = Step(write, layer, "Restrict", request, closes=closes)
        return step, lambda: self._lift(customer_id, write, in_microseconds, opens)

    def _lift(
        self, customer_id: str, restriction: str, in_microseconds: int, opens: tuple[Change, ...]
    ) -> Step:
        write = self._next_id()
        request = event_pb2.LiftRestrictionRequest(
            event_id=write,
            customer_id=customer_id,
            restriction_event_id=restriction,
            lifted_at=self._instant(),
        )
        what = "lift a restriction to come" if in_microseconds else "lift a restriction"
        return Step(write, what, "LiftRestriction", request, opens)

    def _merge(
        self,
        from_id: str,
        into_id: str,
        what: str,
        *,
        opens: tuple[Change, ...] = (),
        closes: tuple[Change, ...] = (),
    ) -> Step:
        write = self._next_id()
        request = event_pb2.MergeCustomersRequest(
            event_id=write, from_customer_id=from_id, into_customer_id=into_id
        )
        return Step(write, what, "MergeCustomers", request, opens, closes)

    def _split(
        self,
        customer_id: str,
        what: str,
        *,
        opens: tuple[Change, ...] = (),
        closes: tuple[Change, ...] = (),
    ) -> Step:
        write = self._next_id()
        request = event_pb2.SplitCustomerRequest(event_id=write, customer_id=customer_id)
        return Step(write, what, "SplitCustomer", request, opens, closes)

    def _next_id(self) -> str:
        self._count += 1
        return f"{self.customer_id}:{self._count}"

    def _instant(self, in_microseconds: int = 0) -> Timestamp:
        """Give now, later than at the last event; or so much later."""
        self._last_instant = max(time.time_ns() // 1000, self._last_instant + 1)
        timestamp = Timestamp()
        timestamp.FromMicroseconds(self._last_instant + in_microseconds)
        return timestamp
