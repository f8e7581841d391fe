"""Errors on the wire: statuses that fit into a trailer and say no more than they should."""

import re

import pytest
from generate import PROTOS
from google.rpc import code_pb2, error_details_pb2
from maywe.v1 import errors_pb2

from decision.errors import (
    DocumentFault,
    ErrorCode,
    FaultKind,
    FieldFault,
    InvalidArgumentError,
    MayweError,
    OverloadedError,
    PublicationRefusedError,
    UnavailableError,
)
from service.errors import (
    DETAILS_BYTES_MAX,
    MESSAGE_ENCODED_BYTES_MAX,
    ShuttingDownError,
    problem_of,
    reason_number,
    status_of,
)


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_code_is_a_reason_of_the_contract(code: ErrorCode) -> None:
    """By its name."""
    assert errors_pb2.ErrorReason.Name(reason_number(code)) == f"ERROR_REASON_{code.name}"


def test_every_reason_that_the_contract_speaks_of_exists() -> None:
    """Comments of the .proto files cite no reason that is none."""
    cited = {
        name
        for path in (PROTOS / "maywe" / "v1").glob("*.proto")
        for name in re.findall(r"\bERROR_REASON_[A-Z_]+", path.read_text(encoding="utf-8"))
    }
    assert cited == set(errors_pb2.ErrorReason.keys())


@pytest.mark.parametrize(
    "error",
    [
        InvalidArgumentError(*[FieldFault("ф" * 1000, "\n" + "ж" * 100_000)] * 1000),
        PublicationRefusedError([DocumentFault("п" * 500, "ж" * 500, "ш" * 500)] * 1000),
        PublicationRefusedError(
            [DocumentFault("п", "ж" * 500, "ш" * 500, FaultKind.CONFLICT)] * 1000
        ),
        UnavailableError("ж" * 100_000),
        OverloadedError("x", details={"executor": "ж" * 100_000}),
    ],
)
def test_a_status_fits_into_a_trailer(error: MayweError) -> None:
    """However long the caller's texts were; and its message is one line."""
    status = status_of(problem_of(error))
    assert status.ByteSize() <= DETAILS_BYTES_MAX
    encoded = sum(1 if letter.isascii() else 3 * len(letter.encode()) for letter in status.message)
    assert encoded <= MESSAGE_ENCODED_BYTES_MAX + len("…".encode()) * 3
    assert status.message.isprintable()


def test_the_faults_that_decide_the_status_come_first() -> None:
    """So that they are not what is cut off."""
    error = PublicationRefusedError(
        [
            DocumentFault("a", "gone", "put it back", FaultKind.CONFLICT),
            DocumentFault("b", "wrong", "correct it", FaultKind.INVALID),
        ]
    )
    problem = problem_of(error)
    assert problem.code == code_pb2.INVALID_ARGUMENT
    assert [path for path, _ in problem.fields] == ["b", "a"]
    assert problem.message.startswith("b: wrong")


def test_who_should_try_again_is_told_when() -> None:
    """RetryInfo comes with what passes."""
    for error in (UnavailableError("x"), OverloadedError("x"), ShuttingDownError()):
        retry = error_details_pb2.RetryInfo()
        status = status_of(problem_of(error))
        assert any(detail.Unpack(retry) for detail in status.details)
        assert retry.retry_delay.ToMilliseconds() > 0
