"""Tests of the public contract: fresh stubs, everything explained, the buf style guide kept.

What the calls mean is tested elsewhere, through the servers.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import grpc
import pytest
from generate import PROTOS, describe
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    MethodDescriptorProto,
)
from maywe.v1 import (
    catalog_pb2_grpc,
    consent_pb2_grpc,
    decision_pb2,
    decision_pb2_grpc,
    journal_pb2_grpc,
    writer_pb2_grpc,
)

# The table of the design: every call, by service.
CALLS_BY_SERVICE = {
    "DecisionService": {
        "MayContact",
        "MayShare",
        "BatchCheck",
        "FilterAudience",
        "ListAllowed",
        "Explain",
    },
    "WriterService": {
        "RecordPurchase",
        "CloseProduct",
        "RecordConsent",
        "Revoke",
        "Restrict",
        "LiftRestriction",
        "RecordAcquisition",
        "VoidEvent",
        "MergeCustomers",
        "SplitCustomer",
        "EraseCustomer",
        "ImportEvents",
    },
    "CatalogService": {
        "GetCatalog",
        "ListPublications",
        "ValidateCatalog",
        "PreviewPublication",
        "Publish",
        "GetPublication",
    },
    "ConsentService": {
        "GetConsentCard",
        "ListEvents",
        "ListUnmatchedPurchases",
        "WatchChanges",
    },
    "JournalService": {
        "GetDecision",
        "ReplayDecision",
    },
}

# What streams, as (client, server); every other call is one question and one answer.
STREAMING_BY_CALL = {
    "FilterAudience": (True, True),
    "ListAllowed": (False, True),
    "ImportEvents": (True, True),
    "WatchChanges": (False, True),
}

FILE_LINES_MAX = 400

# Field numbers inside descriptor.proto, of which the paths of comments are made.
MESSAGES, ENUMS, SERVICES = 4, 5, 6
FIELDS_OF_MESSAGE, NESTED_MESSAGES, NESTED_ENUMS, ONEOFS = 2, 3, 4, 8
VALUES_OF_ENUM = 2
METHODS_OF_SERVICE = 2


@cache
def contract() -> Sequence[FileDescriptorProto]:
    """The files of the contract, described with their comments."""
    return describe().file


def methods() -> dict[str, MethodDescriptorProto]:
    """Every call of the contract, by its name."""
    return {
        method.name: method
        for file in contract()
        for service in file.service
        for method in service.method
    }


def enums(file: FileDescriptorProto) -> Iterator[EnumDescriptorProto]:
    """Every enum of a file, nested ones included."""
    yield from file.enum_type
    pending = list(file.message_type)
    while pending:
        message = pending.pop()
        yield from message.enum_type
        pending += message.nested_type


def run_generate(protos: Path) -> subprocess.CompletedProcess[str]:
    """Run the freshness check of the contract that lies in `protos`."""
    return subprocess.run(
        [sys.executable, protos / "generate.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copied_protos(tmp_path: Path) -> Path:
    """A copy of the contract that a test may spoil."""
    copy = tmp_path / "protos"
    shutil.copytree(PROTOS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def test_stubs_are_fresh() -> None:
    """What is checked in is what the .proto files generate."""
    finished = run_generate(PROTOS)
    assert finished.returncode == 0, finished.stderr


def test_changed_contract_makes_stubs_stale(copied_protos: Path) -> None:
    """A field added without generating again fails the check, which names the stub."""
    proto = copied_protos / "maywe/v1/common.proto"
    text = proto.read_text(encoding="utf-8")
    changed = text.replace("message Source {", "message Source {\n  string extra = 99;", 1)
    assert changed != text
    proto.write_text(changed, encoding="utf-8")
    finished = run_generate(copied_protos)
    assert finished.returncode == 1
    assert "common_pb2.py;" in finished.stderr


def test_edited_stub_is_stale(copied_protos: Path) -> None:
    """A stub edited by hand fails the check."""
    stub = copied_protos / "maywe/v1/writer_pb2_grpc.pyi"
    stub.write_text(stub.read_text(encoding="utf-8") + "# edited\n", encoding="utf-8")
    finished = run_generate(copied_protos)
    assert finished.returncode == 1
    assert "writer_pb2_grpc.pyi" in finished.stderr


def test_left_over_stub_is_stale(copied_protos: Path) -> None:
    """A stub whose .proto file is gone fails the check."""
    (copied_protos / "maywe/v1/gone_pb2.py").write_text("", encoding="utf-8")
    finished = run_generate(copied_protos)
    assert finished.returncode == 1
    assert "gone_pb2.py" in finished.stderr


def test_faulty_contract_fails_the_check(copied_protos: Path) -> None:
    """A .proto file that does not compile fails the check with what the compiler says."""
    (copied_protos / "maywe/v1/common.proto").write_text("no contract\n", encoding="utf-8")
    finished = run_generate(copied_protos)
    assert finished.returncode == 1
    assert "common.proto" in finished.stderr


def paths_in_message(
    message: DescriptorProto, path: tuple[int, ...], name: str
) -> Iterator[tuple[tuple[int, ...], str]]:
    """Where the comments of a message, its fields and all that is nested belong."""
    yield path, name
    for index, field in enumerate(message.field):
        yield (*path, FIELDS_OF_MESSAGE, index), f"{name}.{field.name}"
    for index, oneof in enumerate(message.oneof_decl):
        # An `optional` field makes a oneof of its own, with an underscore, that nobody wrote.
        if not oneof.name.startswith("_"):
            yield (*path, ONEOFS, index), f"{name}.{oneof.name}"
    for index, nested in enumerate(message.nested_type):
        inner = (*path, NESTED_MESSAGES, index)
        yield from paths_in_message(nested, inner, f"{name}.{nested.name}")
    for index, enum in enumerate(message.enum_type):
        yield from paths_in_enum(enum, (*path, NESTED_ENUMS, index), f"{name}.{enum.name}")


def paths_in_enum(
    enum: EnumDescriptorProto, path: tuple[int, ...], name: str
) -> Iterator[tuple[tuple[int, ...], str]]:
    """Where the comments of an enum and its values belong."""
    yield path, name
    for index, value in enumerate(enum.value):
        yield (*path, VALUES_OF_ENUM, index), value.name


def paths_in_file(file: FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    """Where the comments of everything in a file belong, each with a name for people."""
    for index, message in enumerate(file.message_type):
        yield from paths_in_message(message, (MESSAGES, index), message.name)
    for index, enum in enumerate(file.enum_type):
        yield from paths_in_enum(enum, (ENUMS, index), enum.name)
    for index, service in enumerate(file.service):
        yield (SERVICES, index), service.name
        for position, method in enumerate(service.method):
            yield (SERVICES, index, METHODS_OF_SERVICE, position), method.name


def comments(file: FileDescriptorProto) -> dict[tuple[int, ...], str]:
    """The leading comment of everything in a file that has one, by path, on one line."""
    return {
        tuple(location.path): " ".join(location.leading_comments.split())
        for location in file.source_code_info.location
        if location.leading_comments.strip()
    }


def test_everything_is_explained() -> None:
    """Every service, call, message, field, choice, enum and enum value has a comment above it."""
    unexplained = [
        f"{file.name}: {name}"
        for file in contract()
        for path, name in paths_in_file(file)
        if path not in comments(file)
    ]
    assert unexplained == []


@pytest.mark.parametrize(
    ("enum_name", "asked"),
    [
        ("Reason", ["Example:"]),
        ("ErrorReason", ["Status ", "Example metadata: {"]),
    ],
)
def test_reasons_come_with_examples(enum_name: str, asked: Sequence[str]) -> None:
    """Every reason says when it is given, with an example; an error's also its gRPC status."""
    explained = {
        name: text
        for file in contract()
        for index, enum in enumerate(file.enum_type)
        if enum.name == enum_name
        for path, name in paths_in_enum(enum, (ENUMS, index), enum.name)
        if len(path) > len((ENUMS, index)) and not name.endswith("_UNSPECIFIED")
        for text in [comments(file).get(path, "")]
    }
    assert explained
    for name, text in explained.items():
        assert all(part in text for part in asked), name


def test_error_statuses_are_grpc_statuses() -> None:
    """The status named by each error reason is one that gRPC knows."""
    known = {status.name for status in grpc.StatusCode}
    named = {
        status
        for file in contract()
        for text in comments(file).values()
        if "Example metadata" in text
        for status in re.findall(r"Status ([A-Z_]+)", text)
    }
    assert named
    assert named <= known


def test_every_call_of_the_design_exists() -> None:
    """The four services have the calls of the design's table, and no others."""
    found = {
        service.name: {method.name for method in service.method}
        for file in contract()
        for service in file.service
    }
    assert found == CALLS_BY_SERVICE


def test_streams_are_where_the_design_has_them() -> None:
    """The streams of the design stream on the sides it says, and nothing else does."""
    found = {
        name: (method.client_streaming, method.server_streaming)
        for name, method in methods().items()
        if method.client_streaming or method.server_streaming
    }
    assert found == STREAMING_BY_CALL


def test_every_call_has_its_own_messages() -> None:
    """Every call takes the request and gives the response that bear its name."""
    for name, method in methods().items():
        assert method.input_type == f".maywe.v1.{name}Request"
        assert method.output_type == f".maywe.v1.{name}Response"


def test_enums_keep_to_the_style_guide() -> None:
    """Enum values bear the enum's name in front, and zero is `_UNSPECIFIED`."""
    for file in contract():
        for enum in enums(file):
            prefix = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", enum.name).upper()
            assert enum.value[0].name == f"{prefix}_UNSPECIFIED"
            assert enum.value[0].number == 0
            assert all(value.name.startswith(f"{prefix}_") for value in enum.value)


def test_files_keep_to_the_style_guide() -> None:
    """Every file has the package and the options from which other languages generate clients."""
    for file in contract():
        stem = Path(file.name).stem
        assert file.name == f"maywe/v1/{stem}.proto"
        assert (file.syntax, file.package) == ("proto3", "maywe.v1")
        assert file.options.go_package == "maywe/v1;maywev1"
        assert file.options.java_package == "maywe.v1"
        assert file.options.java_multiple_files
        assert file.options.java_outer_classname == f"{stem.title().replace('_', '')}Proto"
        assert len((PROTOS / file.name).read_text(encoding="utf-8").splitlines()) <= FILE_LINES_MAX


def test_stubs_import_and_register() -> None:
    """A client and a servicer of every service can be made from the generated modules."""
    channel = grpc.insecure_channel("127.0.0.1:1")
    stub = decision_pb2_grpc.DecisionServiceStub(channel)
    for made, service in (
        (stub, "DecisionService"),
        (writer_pb2_grpc.WriterServiceStub(channel), "WriterService"),
        (catalog_pb2_grpc.CatalogServiceStub(channel), "CatalogService"),
        (consent_pb2_grpc.ConsentServiceStub(channel), "ConsentService"),
        (journal_pb2_grpc.JournalServiceStub(channel), "JournalService"),
    ):
        assert CALLS_BY_SERVICE[service] <= set(vars(made))
    assert decision_pb2.DESCRIPTOR.package == "maywe.v1"
    channel.close()
