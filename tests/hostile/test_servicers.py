"""Every call of every service, with anything that anybody may send, against a real server."""

from collections.abc import Iterator
from typing import Any, Final

import grpc
import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from maywe.v1 import catalog_pb2, decision_pb2, writer_pb2

from store.cursors import CursorKind, encode_cursor
from tests.access import METHODS
from tests.hostile.attacking import attack, flood
from tests.hostile.judging import judge, judge_log
from tests.hostile.target import ROLES, Target, running_target
from tests.servers import ServerUrls

pytestmark = [pytest.mark.integration, pytest.mark.property]

EXAMPLES: Final = 100
"""A few seconds; `make fuzz` tries as many as there is time for."""

MEBIBYTE: Final = 1024 * 1024

MEMORY_BYTES_MAX: Final = 256 * MEBIBYTE
"""By how much more memory a server may ever have than at its start, whatever is sent to it. One
message of ten megabytes that is made of empty parts would take more if it were read."""


@pytest.fixture(scope="module")
def target(
    server_urls: ServerUrls, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    """One server that everything is done to.

    At the end it serves, has logged no defect, and has never taken much memory.
    """
    directory = tmp_path_factory.mktemp("hostile")
    unlimited = ("--caller-calls-per-second=0", "--caller-streams=0")
    with running_target(server_urls, template_database, directory, *unlimited) as running:
        before = running.memory_peak_bytes
        yield running
        running.assert_serves()
        judge_log(running.log)
        assert running.memory_peak_bytes - before < MEMORY_BYTES_MAX


@settings(
    max_examples=EXAMPLES,
    # Of what went wrong with a server the same again tells little; to shrink it takes minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.data())
def test_whatever_is_sent_is_answered_and_nothing_told(target: Target, data: st.DataObject) -> None:
    """No status that nobody chose, no trace, no statement; `judging` says what is looked for."""
    attack(target, data)


@pytest.mark.parametrize(
    ("method", "messages"),
    [
        (
            "/maywe.v1.CatalogService/ListPublications",
            [
                catalog_pb2.ListPublicationsRequest(
                    page_token=encode_cursor(CursorKind.PUBLICATIONS, None, [2**63 - 1])
                )
            ],
        ),
        (
            "/maywe.v1.CatalogService/ListPublications",
            [
                catalog_pb2.ListPublicationsRequest(
                    page_token=encode_cursor(CursorKind.PUBLICATIONS, None, [-(2**63)])
                )
            ],
        ),
        (
            "/maywe.v1.WriterService/ImportEvents",
            [
                writer_pb2.ImportEventsRequest(start=writer_pb2.ImportStart(import_id="last")),
                writer_pb2.ImportEventsRequest(
                    chunk=writer_pb2.ImportChunk(items=[writer_pb2.ImportItem(position=2**63 - 1)])
                ),
            ],
        ),
        (
            "/maywe.v1.DecisionService/MayShare",
            [
                decision_pb2.MayShareRequest(
                    customer_id="ivan",
                    partner="acme",
                    purpose="advertising",
                    datasets=map(str, range(10_000)),
                )
            ],
        ),
    ],
)
def test_what_once_went_wrong_is_answered(
    target: Target, method: str, messages: list[Message]
) -> None:
    """Numbers that no column holds, and more faults than anybody reads."""
    ended = target.call(method, [one.SerializeToString() for one in messages], ROLES)
    judge(target, method, ended)


@pytest.mark.parametrize("method", METHODS)
def test_many_small_parts_cost_little(target: Target, method: str) -> None:
    """A message of millions of empty parts takes many times its bytes once it is read."""
    flood(target, method, 9 * MEBIBYTE)
    flood(target, method, 4 * MEBIBYTE)
    target.assert_serves()


def test_what_comes_compressed_is_not_unpacked(target: Target) -> None:
    """A thousandth of a server's memory would be enough to fill it."""
    before = target.memory_peak_bytes
    request = decision_pb2.MayContactRequest(customer_id="x" * (96 * MEBIBYTE))
    ended = target.call(
        "/maywe.v1.DecisionService/MayContact",
        [request.SerializeToString()],
        ["decision.read"],
        compression=grpc.Compression.Gzip,
    )
    assert ended.code is grpc.StatusCode.UNIMPLEMENTED
    judge(target, "/maywe.v1.DecisionService/MayContact", ended)
    assert target.memory_peak_bytes - before < 64 * MEBIBYTE


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer a.b.c",
        "Bearer " + "a" * 7000,
        "Basic dTpw",
        # Of the algorithm "none", and of a shared secret.
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "Bearer eyJhbGciOiJIUzI1NiIsImtpZCI6ImtleS0xIn0.e30.AAAA",
        "Bearer " + "W1tbW1tb" * 400 + ".e30.AAAA",
    ],
)
def test_a_stranger_is_told_only_that_they_are_none(target: Target, header: str) -> None:
    """Whatever is sent for a token, and not even the request is read."""
    calling: Any = target.channel.stream_stream("/maywe.v1.DecisionService/MayContact")
    with pytest.raises(grpc.RpcError) as raised:
        list(calling(iter([b"\xff" * 1000]), metadata=(("authorization", header),), timeout=20))
    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
