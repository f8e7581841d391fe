"""What `docs/clients.md` says is what our own client, the contract and the examples do."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from google.protobuf.descriptor import MethodDescriptor
from maywe.v1 import catalog_pb2, consent_pb2, decision_pb2, journal_pb2, writer_pb2
from maywe.v1.common_pb2 import Reason
from maywe.v1.errors_pb2 import ErrorReason

from service.client.channel import channel_options, service_config

REPOSITORY: Final = Path(__file__).parents[2]
DOCUMENTS: Final = REPOSITORY / "docs"
CLIENTS: Final = DOCUMENTS / "clients"
TEXT: Final = (DOCUMENTS / "clients.md").read_text()
CONTRACT: Final = (REPOSITORY / "protos" / "maywe" / "v1" / "errors.proto").read_text()
CONFIG: Final[dict[str, Any]] = json.loads(service_config())

GO_NAMES: Final = {"CANCELED": "CANCELLED"}


def methods() -> Iterator[MethodDescriptor]:
    """Every method of the contract."""
    for file in (decision_pb2, writer_pb2, catalog_pb2, consent_pb2, journal_pb2):
        for service in file.DESCRIPTOR.services_by_name.values():
            yield from service.methods


def rows(*headings: str) -> list[list[str]]:
    """The rows of the table that is headed so, as their cells."""
    heading = f"| {' | '.join(headings)} |\n"
    assert TEXT.count(heading) == 1
    table = TEXT.partition(heading)[2].partition("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def codes(cell: str) -> list[str]:
    """What stands in a cell as code."""
    return re.findall(r"`([A-Z_]+)`", cell)


def test_the_service_config_names_every_call_that_is_no_stream() -> None:
    """Each once, so that each is retried; a stream can not be."""
    [policy] = CONFIG["methodConfig"]
    named = [(one["service"], one["method"]) for one in policy["name"]]
    unary = [
        (method.containing_service.full_name, method.name)
        for method in methods()
        if not method.client_streaming and not method.server_streaming
    ]
    assert sorted(named) == sorted(unary)


def test_the_documented_channel_options_are_ours() -> None:
    """Each option stands there with its value."""
    options = dict(channel_options())
    del options["grpc.service_config"]
    documented = dict(re.findall(r"^\| `(grpc\.\S+)` \| (\S+) \|", TEXT, re.MULTILINE))
    assert documented == {name: str(value) for name, value in options.items()}


@pytest.mark.parametrize("example", ["python/connection.py", "node/connection.js"])
def test_the_examples_set_the_documented_options(example: str) -> None:
    """Each with its value, and no other."""
    options = dict(channel_options())
    del options["grpc.service_config"]
    text = (CLIENTS / example).read_text()
    found = dict(re.findall(r"[\"'](grpc\.\w+)[\"'][,:] (\d+)", text))
    assert found == {name: str(value) for name, value in options.items()}


def test_the_example_in_go_sets_the_documented_options() -> None:
    """By its own names for them."""
    options = dict(channel_options())
    text = " ".join((CLIENTS / "go" / "connection.go").read_text().split())
    bytes_max = int(options["grpc.max_receive_message_length"])
    for setting in (
        f"MaxCallRecvMsgSize({bytes_max >> 20} << 20)",
        f"Time: {int(options['grpc.keepalive_time_ms']) // 1000} * time.Second",
        f"Timeout: {int(options['grpc.keepalive_timeout_ms']) // 1000} * time.Second",
        f"BaseDelay: {options['grpc.initial_reconnect_backoff_ms']} * time.Millisecond",
        f"MaxDelay: {options['grpc.max_reconnect_backoff_ms']} * time.Millisecond",
        "grpc.WithDisableServiceConfig()",
    ):
        assert setting in text


@pytest.mark.parametrize(
    ("example", "pattern"),
    [
        ("python/failure.py", r"grpc\.StatusCode\.([A-Z_]+),"),
        ("node/failure.js", r"^  Code\.([A-Z_]+),"),
        ("go/failure.go", r"codes\.(\w+): +true"),
    ],
)
def test_every_example_asks_later_after_the_documented_statuses(example: str, pattern: str) -> None:
    """And stops, or has an id mended, after every other one."""
    found = re.findall(pattern, (CLIENTS / example).read_text(), re.MULTILINE)
    names = {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper() for name in found}
    statuses = rows("status", "retried by gRPC", "do", "why")
    later = {name for row in statuses if row[2] == "later" for name in codes(row[0])}
    assert {GO_NAMES.get(name, name) for name in names} == later


def test_the_documented_retries_are_those_of_the_service_config() -> None:
    """By status."""
    [policy] = CONFIG["methodConfig"]
    statuses = rows("status", "retried by gRPC", "do", "why")
    retried = {name for row in statuses if row[1].startswith("yes") for name in codes(row[0])}
    assert retried == set(policy["retryPolicy"]["retryableStatusCodes"])


def test_every_reason_of_a_failed_call_is_documented_with_its_status() -> None:
    """As the contract has it."""
    documented = {
        name: codes(row[1]) for row in rows("reason", "status", "do") for name in codes(row[0])
    }
    contract = {
        name: re.findall(r"Status\s+(?:// )?([A-Z_]+)", comment)[-1:]
        for comment, name in re.findall(
            r"((?:^  //.*\n)+)^  ERROR_REASON_(\w+) = [1-9]\d*;", CONTRACT, re.MULTILINE
        )
    }
    assert documented == contract
    names = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()}  # noqa: SIM118
    assert documented.keys() == names - {"UNSPECIFIED"}


def test_every_reason_of_an_answer_is_documented() -> None:
    """Those of a DENY in a table, the others beside it."""
    denied = {
        name
        for row in rows("reason of a DENY", "what it tells a dialer or a campaign")
        for name in codes(row[0])
    }
    names = {name.removeprefix("REASON_") for name in Reason.keys()}  # noqa: SIM118
    assert denied == names - {"UNSPECIFIED", "ALLOWED", "UNAVAILABLE"}


@pytest.mark.parametrize("name", ["clients.md", "clients/README.md"])
def test_what_is_linked_is_there(name: str) -> None:
    """Every path of a link, from the document that has it."""
    document = DOCUMENTS / name
    links = re.findall(r"\]\(([^)#:]+)\)", document.read_text())
    assert links
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_libraries_of_node_are_pinned_by_version_and_hash_alone() -> None:
    """Where they come from is the business of whoever installs."""
    package = json.loads((CLIENTS / "node" / "package.json").read_text())
    text = (CLIENTS / "node" / "package-lock.json").read_text()
    assert "://" not in text
    packages = json.loads(text)["packages"]
    for name, version in package["dependencies"].items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
        assert packages[f"node_modules/{name}"]["version"] == version
    assert all(one["integrity"].startswith("sha512-") for path, one in packages.items() if path)
