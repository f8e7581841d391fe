"""A whole system behind gRPC, with the surface of the naive model: apply a step, ask a probe.

What lives here: the calls, the tokens that later checks have to carry, and the recorded instants
that stand for known times. What must not: expectations.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from maywe.v1 import catalog_pb2, common_pb2, consent_pb2, decision_pb2

from tests.cases.answers import Answer, shown
from tests.cases.messages import (
    Shape,
    UnknownShapeError,
    check_probe,
    check_request,
    check_step,
    event_request,
    explain_request,
    publish_request,
)
from tests.running import RunningMaywe

EVENTS_PER_PAGE: Final = 1000


class StepRefusedError(Exception):
    """A step or a question was refused with this gRPC status."""

    def __init__(self, error: grpc.RpcError) -> None:
        super().__init__(f"{error.code().name}: {error.details()}")
        self.status: str = error.code().name


class RemoteSystem:
    """Applies steps and asks probes through a client, one after the other."""

    def __init__(self, maywe: RunningMaywe) -> None:
        """Begin with a system in which nothing is recorded."""
        self.maywe = maywe
        self._zone = "UTC"
        self._recorded_at: list[Timestamp | None] = []
        self._tokens: dict[str, str] = {}
        self._merged_into: dict[str, str] = {}
        self._customer_of_event: dict[str, str] = {}

    def apply(self, step: Shape) -> bool:
        """Apply the next step; True where it recorded something, False for a repeated event.

        Raises StepRefusedError where it is refused, UnknownShapeError where it can not be sent.
        """
        self._recorded_at.append(None)
        check_step(step)
        try:
            if step["op"] == "publish":
                acknowledgement = self._publish(step)
            else:
                request = event_request(step, self._zone)
                call = _CALLS[step["op"]](self.maywe)
                acknowledgement = call(request).acknowledgement
                self._note_token(step, acknowledgement)
        except grpc.RpcError as error:
            raise StepRefusedError(error) from error
        except (KeyError, TypeError, ValueError) as error:
            raise UnknownShapeError(f"a step can not be sent: {error!r}") from error
        if acknowledgement.repeat:
            return False
        self._recorded_at[-1] = acknowledgement.recorded_at
        return True

    def ask(self, probe: Shape) -> Answer:
        """The answer to a probe, in the shape of its `expect`. Raises as `apply` does."""
        check_probe(probe)
        several = probe.get("datasets") is not None
        try:
            if probe["via"] == "explain":
                return shown(self.explain(probe).answer, asks_for_several=several)
            return shown(self.check(probe), asks_for_several=several)
        except grpc.RpcError as error:
            raise StepRefusedError(error) from error
        except (KeyError, TypeError, ValueError) as error:
            raise UnknownShapeError(f"a probe can not be sent: {error!r}") from error

    def check(
        self, probe: Shape
    ) -> decision_pb2.MayContactResponse | decision_pb2.MayShareResponse:
        """Ask a probe via check, with the token of the last write that concerns its customer."""
        decision = self.maywe.client.decision
        request = check_request(probe, self.token_of(probe["customer"]))
        if isinstance(request, decision_pb2.MayContactRequest):
            return decision.MayContact(request)
        return decision.MayShare(request)

    def explain(self, probe: Shape) -> decision_pb2.ExplainResponse:
        """Ask a probe via explain."""
        known_at = self.known_at(probe.get("known_after_step"))
        return self.maywe.client.decision.Explain(explain_request(probe, known_at))

    def token_of(self, customer: str) -> str:
        """The token of the last write that concerns the person behind an id; empty for none."""
        return self._tokens.get(customer, "")

    def ids_of(self, customer: str) -> set[str]:
        """Every id of the same person, by the merges and splits that were accepted."""
        everyone = {customer, *self._merged_into, *self._merged_into.values()}
        root = self.standing_id(customer)
        return {one for one in everyone if self.standing_id(one) == root}

    def everything_recorded(self) -> tuple[list[bytes], list[bytes]]:
        """Every event and publication recorded, to tell that a refused step changed nothing."""
        events: list[bytes] = []
        request = consent_pb2.ListEventsRequest(page_size=EVENTS_PER_PAGE)
        while True:
            page = self.maywe.client.consent.ListEvents(request)
            events += [one.SerializeToString(deterministic=True) for one in page.events]
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        listed = self.maywe.client.catalog.ListPublications(
            catalog_pb2.ListPublicationsRequest(page_size=EVENTS_PER_PAGE)
        )
        return events, [one.SerializeToString(deterministic=True) for one in listed.publications]

    def _publish(self, step: Shape) -> common_pb2.Acknowledgement:
        publication_id = f"publication of step {len(self._recorded_at)}"
        response = self.maywe.client.catalog.Publish(publish_request(step, publication_id))
        self.maywe.wait_until_effective(response.number)
        self._zone = step["catalog"]["zone"]
        return response.acknowledgement

    def _note_token(self, step: Shape, acknowledgement: common_pb2.Acknowledgement) -> None:
        """Hand the token to every id of the persons that the step concerns, before and after."""
        concerned: set[str] = set()
        for field in _CUSTOMER_FIELDS.get(step["op"], ("customer",)):
            concerned |= self.ids_of(step[field])
        if step["op"] == "void":
            concerned |= self.ids_of(self._customer_of_event[step["voided_event_id"]])
        self._tokens.update(dict.fromkeys(concerned, acknowledgement.token))
        if acknowledgement.repeat:
            return
        if step["op"] == "merge":
            self._merged_into[step["from"]] = step["into"]
        elif step["op"] == "split":
            del self._merged_into[step["from"]]
        elif step["op"] != "void":
            self._customer_of_event[step["event_id"]] = step["customer"]

    def standing_id(self, customer: str) -> str:
        """The id that a person answers to: the one that its merges lead to."""
        while customer in self._merged_into:
            customer = self._merged_into[customer]
        return customer

    def known_at(self, step_number: int | None) -> Timestamp | None:
        """When the step was recorded, or for one that recorded nothing the last before it."""
        if step_number is None:
            return None
        if not 0 <= step_number < len(self._recorded_at):
            raise UnknownShapeError(f"known_after_step {step_number} is no step")
        before = [one for one in self._recorded_at[: step_number + 1] if one is not None]
        if before:
            return before[-1]
        first = next((one for one in self._recorded_at if one is not None), None)
        if first is None:
            return None
        earlier = Timestamp()
        earlier.FromMicroseconds(first.ToMicroseconds() - 1)
        return earlier


_CUSTOMER_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "merge": ("from", "into"),
    "split": ("from",),
    "void": (),
}

_CALLS: Final[Mapping[str, Callable[[RunningMaywe], Callable[..., Any]]]] = {
    "purchase": lambda maywe: maywe.client.writer.RecordPurchase,
    "close_product": lambda maywe: maywe.client.writer.CloseProduct,
    "consent": lambda maywe: maywe.client.writer.RecordConsent,
    "revoke": lambda maywe: maywe.client.writer.Revoke,
    "restrict": lambda maywe: maywe.client.writer.Restrict,
    "lift": lambda maywe: maywe.client.writer.LiftRestriction,
    "acquire": lambda maywe: maywe.client.writer.RecordAcquisition,
    "void": lambda maywe: maywe.client.writer.VoidEvent,
    "merge": lambda maywe: maywe.client.writer.MergeCustomers,
    "split": lambda maywe: maywe.client.writer.SplitCustomer,
}
