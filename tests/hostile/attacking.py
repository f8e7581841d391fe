"""Attacks: one example each of something that anybody might do to a server.

What lives here: what an example is made of and how it is judged. How many examples are tried is the
business of the test and of the campaign.
"""

from typing import Any, Final

import grpc
from hypothesis import strategies as st
from maywe.v1 import decision_pb2, event_pb2, writer_pb2

from tests.access import DESCRIPTORS, METHODS
from tests.hostile.judging import judge
from tests.hostile.messages import messages, requests
from tests.hostile.target import ROLES, Target

_RARE: Final = frozenset(
    {
        # They take seconds: until nobody can watch any more, or through all customers.
        "/maywe.v1.WriterService/EraseCustomer",
        "/maywe.v1.CatalogService/Publish",
        "/maywe.v1.CatalogService/PreviewPublication",
    }
)

_IMPORT: Final = "/maywe.v1.WriterService/ImportEvents"
_AUDIENCE: Final = "/maywe.v1.DecisionService/FilterAudience"
_FOR_EVER: Final = frozenset(
    {"/maywe.v1.ConsentService/WatchChanges", "/grpc.health.v1.Health/Watch"}
)

_methods: Final = st.sampled_from(
    [method for method in METHODS for _ in range(1 if method in _RARE else 4)]
)


def attack(target: Target, data: st.DataObject) -> None:
    """Call any method as anybody with anything."""
    method = data.draw(_methods, "method")
    # Mostly as somebody who may: what nobody is let in for is soon tried out.
    roles = data.draw(st.sampled_from([ROLES, ROLES, ROLES, *([role] for role in ROLES), ()]))
    sent = data.draw(_sent(method), "sent")
    answers_max = 1 if method in _FOR_EVER else 20
    judge(target, method, target.call(method, sent, roles, answers_max))


def _sent(method: str) -> st.SearchStrategy[list[bytes]]:
    if method == _IMPORT:
        return st.one_of(_imports(), st.lists(requests(_input_type(method)), max_size=3))
    if method == _AUDIENCE:
        return st.one_of(_audiences(), st.lists(requests(_input_type(method)), max_size=3))
    one = requests(_input_type(method))
    return st.one_of(
        one.map(lambda data: [data]), one.map(lambda data: [data]), st.lists(one, max_size=3)
    )


def _input_type(method: str) -> Any:
    service, _, name = method[1:].partition("/")
    return DESCRIPTORS[service].methods_by_name[name].input_type


@st.composite
def _imports(draw: st.DrawFn) -> list[bytes]:
    """A stream of an import that is in order, of events that are anything."""
    start = writer_pb2.ImportStart(import_id=f"import-{draw(st.integers(0, 10**9))}")
    sent = [writer_pb2.ImportEventsRequest(start=start)]
    position = 0
    for _ in range(draw(st.integers(1, 3))):
        items = []
        for event in draw(st.lists(messages(event_pb2.Event.DESCRIPTOR), min_size=1, max_size=6)):
            step = draw(st.sampled_from([1, 1, 1, 7, 2**40, 2**63]))
            position = min(position + step, 2**63 - 1)
            items.append(writer_pb2.ImportItem(position=position, event=event))  # type: ignore[arg-type]  # an Event
        sent.append(writer_pb2.ImportEventsRequest(chunk=writer_pb2.ImportChunk(items=items)))
    return [message.SerializeToString() for message in sent]


@st.composite
def _audiences(draw: st.DrawFn) -> list[bytes]:
    """A stream about an audience that begins with a question."""
    question: Any = draw(messages(decision_pb2.AudienceQuestion.DESCRIPTOR))
    chunks: list[Any] = draw(
        st.lists(messages(decision_pb2.AudienceChunk.DESCRIPTOR), min_size=1, max_size=3)
    )
    return [
        decision_pb2.FilterAudienceRequest(question=question).SerializeToString(),
        *(decision_pb2.FilterAudienceRequest(chunk=chunk).SerializeToString() for chunk in chunks),
    ]


def flood(
    target: Target, method: str, size: int, roles: tuple[str, ...] = ROLES
) -> grpc.StatusCode:
    """Send one message of so many bytes, as many parts of it as there can be, and give the code."""
    # Fields 1 to 3 are texts or messages nearly everywhere; an empty one takes two bytes.
    for tag in (b"\x0a\x00", b"\x12\x00", b"\x1a\x00"):
        ended = target.call(method, [tag * (size // len(tag))], roles, answers_max=1)
        judge(target, method, ended)
    return ended.code
