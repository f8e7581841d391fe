"""How the answer of `maywe explain` looks.

What lives here: the answer, the two further answers where they differ, then the proof.
"""

from maywe.v1.common_pb2 import Verdict
from maywe.v1.decision_pb2 import ExplainResponse
from maywe.v1.evidence_pb2 import Answer

from service.cli.evidence_view import (
    show_events,
    show_grants,
    show_matrix_rows,
    show_publications,
    show_restrictions,
    show_wordings,
)
from service.cli.moments import shown_end, shown_moment
from service.cli.output import Output
from service.cli.words import basis_text, reason_text, verdict_text


def show_explanation(output: Output, response: ExplainResponse) -> None:
    """Show an answer and everything that proves it."""
    zone = response.zone
    output.fields(
        [
            ("customer ids", ", ".join(response.customer_ids)),
            ("valid at", shown_moment(response.valid_at, zone)),
            ("known at", shown_moment(response.known_at, zone)),
            ("company zone", zone),
        ]
    )
    output.heading("answer")
    _show_answer(output, response.answer, zone)
    if response.HasField("answer_known_then"):
        output.heading("what the system would have said then")
        _show_answer(output, response.answer_known_then, zone)
    if response.HasField("answer_known_now"):
        output.heading("what was so, as far as is known today")
        _show_answer(output, response.answer_known_now, zone)
    _show_proof(output, response, zone)


def _show_answer(output: Output, answer: Answer, zone: str) -> None:
    output.line(verdict_text(answer.verdict), f"  {reason_text(answer.reason)}")
    until = ""
    if answer.verdict == Verdict.VERDICT_ALLOW:
        until = shown_end(answer.not_after, is_given=answer.HasField("not_after"), zone_name=zone)
    output.fields(
        [
            ("until", until),
            ("basis", basis_text(answer.basis, zone) if answer.HasField("basis") else ""),
            ("allowed data sets", ", ".join(answer.allowed_datasets)),
        ]
    )
    if answer.datasets:
        output.table(
            ("data set", "verdict", "reason", "basis"),
            [
                (
                    dataset.dataset,
                    verdict_text(dataset.verdict),
                    reason_text(dataset.reason),
                    basis_text(dataset.basis, zone) if dataset.HasField("basis") else "",
                )
                for dataset in answer.datasets
            ],
        )


def _show_proof(output: Output, response: ExplainResponse, zone: str) -> None:
    if response.grants:
        output.heading("consents that cover what was asked")
        show_grants(output, response.grants, zone)
    if response.restrictions:
        output.heading("restrictions")
        show_restrictions(output, response.restrictions, zone)
    if response.HasField("suspension"):
        suspension = response.suspension
        until = shown_end(
            suspension.suspended_to, is_given=suspension.HasField("suspended_to"), zone_name=zone
        )
        output.heading("suspension")
        output.line(
            f"{suspension.partner} from {shown_moment(suspension.suspended_from, zone)} to {until},"
            f" by publication {suspension.publication_number}"
        )
    if response.wordings:
        output.heading("wordings signed")
        show_wordings(output, response.wordings, zone)
    if response.matrix_rows:
        output.heading("matrix rows")
        show_matrix_rows(output, response.matrix_rows, zone)
    if response.events:
        output.heading("events")
        show_events(output, response.events, zone)
    if response.publications:
        output.heading("publications")
        show_publications(output, response.publications, zone)
