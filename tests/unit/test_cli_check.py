"""What `maywe check` shows of an answer beyond the verdict."""

import io

import pytest
from maywe.v1.decision_pb2 import MayContactResponse

from service.cli.check import evidence_fields
from service.cli.output import Output


@pytest.mark.parametrize("is_outside", [False, True])
def test_an_answer_outside_the_promise_says_so(*, is_outside: bool) -> None:
    """It names the lost lease, and any other answer does not."""
    output = Output(is_json=False, stream=io.StringIO())
    output.fields(evidence_fields(MayContactResponse(decision_id="d1", outside_promise=is_outside)))
    assert isinstance(output.stream, io.StringIO)
    assert ("lost its lease" in output.stream.getvalue()) is is_outside
