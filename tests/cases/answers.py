"""From the answers of the contract to the shape of `expect` in case files.

What lives here: what an answer says in the words of a case file. What must not: what it should say.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp
from maywe.v1 import common_pb2, decision_pb2, evidence_pb2

Answer: TypeAlias = dict[str, Any]
Answered: TypeAlias = (
    decision_pb2.MayContactResponse | decision_pb2.MayShareResponse | evidence_pb2.Answer
)

INSTANT_FIELDS: Final = frozenset({"not_after", "obtained_at"})


def shown(response: Answered, *, asks_for_several: bool) -> Answer:
    """An answer in the shape of `expect`; `asks_for_several` where a probe gives `datasets`."""
    verdict = common_pb2.Verdict.Name(response.verdict).removeprefix("VERDICT_")
    answer: Answer = {
        "verdict": verdict,
        "reason": common_pb2.Reason.Name(response.reason).removeprefix("REASON_"),
    }
    if verdict == "ALLOW" or response.HasField("not_after"):
        answer["not_after"] = _instant(response, "not_after")
    if asks_for_several:
        assert not isinstance(response, decision_pb2.MayContactResponse)
        answer["allowed_datasets"] = list(response.allowed_datasets)
        return answer
    basis = _basis(response)
    if basis is not None:
        answer["wording"] = f"{basis.consent_type}/{basis.wording_version}"
        answer["basis_event"] = basis.event_id
        answer["obtained_at"] = _instant(basis, "obtained_at")
    return answer


def differs(answer: Answer, expected: Mapping[str, Any]) -> bool:
    """Whether an answer differs from `expect`, instants compared as instants."""
    return _comparable(answer) != _comparable(expected)


def _basis(response: Answered) -> common_pb2.Basis | None:
    """What the answer rests on; for a share of one data set what that one's answer rests on."""
    holder: Any = response
    if not isinstance(response, decision_pb2.MayContactResponse) and response.datasets:
        (holder,) = response.datasets
    basis: common_pb2.Basis = holder.basis
    return basis if holder.HasField("basis") else None


def _instant(message: Any, field: str) -> str | None:
    text: str = getattr(message, field).ToJsonString()
    return text if message.HasField(field) else None


def _comparable(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {
        field: _nanoseconds(value) if field in INSTANT_FIELDS and value is not None else value
        for field, value in answer.items()
    }


def _nanoseconds(text: str) -> int:
    found = Timestamp()
    found.FromJsonString(text)
    return found.ToNanoseconds()
