"""`maywe decision`: what was answered, by the id of the answer.

What lives here: showing an answer of the journal, and holding it against the ledger.
"""

from collections.abc import Sequence

import click
from maywe.v1.common_pb2 import Verdict
from maywe.v1.evidence_pb2 import Answer
from maywe.v1.journal_pb2 import (
    GetDecisionRequest,
    JournalledDecision,
    ReplayDecisionRequest,
    ReplayDecisionResponse,
)

from service.cli.connection import asks_servers
from service.cli.exits import Exit, Group, trouble
from service.cli.moments import shown_end, shown_moment
from service.cli.output import Cell, Output
from service.cli.words import basis_text, reason_code, reason_text, verdict_text
from service.client import Client, answers_from


@click.group("decision", cls=Group)
def decision() -> None:
    """Show what was answered, and make it again from the ledger.

    An answer names its id, and is found by it if it was journalled.
    """


@decision.command("show")
@click.argument("decision_id", metavar="ID")
@asks_servers
def show(client: Client, output: Output, decision_id: str) -> None:
    """Show the answer with this ID: who asked what of whom, when, and what was said."""
    with answers_from(client.decision_address):
        response = client.journal.GetDecision(GetDecisionRequest(decision_id=decision_id))
    if output.is_json:
        output.message(response)
    else:
        _show_decision(output, response.decision)


@decision.command("replay")
@click.argument("decision_id", metavar="ID")
@asks_servers
def replay(client: Client, output: Output, decision_id: str) -> None:
    """Make the answer with this ID again from the ledger, and compare.

    The events that its state was made of are folded under the catalog that it rested on, and judged
    at the instant that it was about; nothing that is kept ready is looked at.

    Exit status: 0 it is the same answer, 1 it is another.
    """
    with answers_from(client.decision_address):
        response = client.journal.ReplayDecision(ReplayDecisionRequest(decision_id=decision_id))
    if output.is_json:
        output.message(response)
    else:
        _show_decision(output, response.decision)
        _show_replay(output, response)
    if response.differences:
        raise trouble(
            f"the ledger gives another answer: {', '.join(response.differences)} differ", Exit.NO
        )


def _show_decision(output: Output, shown: JournalledDecision) -> None:
    whom = shown.customer_id or "somebody who was erased"
    if shown.WhichOneof("question") == "contact":
        what = f"{shown.contact.channel} for {shown.contact.purpose} to {whom}"
    else:
        datasets = ", ".join(shown.share.datasets)
        what = f"{datasets} of {whom} to {shown.share.partner} for {shown.share.purpose}"
    output.line(verdict_text(shown.answer.verdict), f"  {what}")
    output.fields(
        [
            *_answer_fields(shown.answer, shown.allowed_channels),
            ("answered at", shown_moment(shown.answered_at)),
            ("decided for", shown_moment(shown.decided_at)),
            ("asked by", shown.caller),
            ("state version", str(shown.state_version)),
            ("catalog publication", str(shown.catalog_publication)),
            ("decision", shown.decision_id),
            ("outside the promise", "yes" if shown.outside_promise else ""),
        ]
    )
    _show_datasets(output, shown.answer)


def _show_replay(output: Output, response: ReplayDecisionResponse) -> None:
    output.heading("from the ledger")
    known_at = shown_moment(response.known_at) if response.HasField("known_at") else "no event"
    if response.known_at_by_time:
        known_at += ", by the time of the answer: the events do not say which state they came into"
    output.fields(
        [
            ("same answer", "no" if response.differences else "yes"),
            ("different", ", ".join(response.differences)),
            ("verdict", verdict_text(response.replayed.verdict)),
            *_answer_fields(response.replayed, response.replayed_channels),
            ("events up to", known_at),
        ]
    )
    _show_datasets(output, response.replayed)
    if response.HasField("answer_known_then"):
        then = response.answer_known_then
        output.heading("with everything recorded by then, which had not all arrived yet")
        output.fields([("verdict", verdict_text(then.verdict)), *_answer_fields(then, ())])


def _answer_fields(answer: Answer, channels: Sequence[str]) -> list[tuple[str, Cell]]:
    is_allowed = answer.verdict == Verdict.VERDICT_ALLOW
    until = shown_end(answer.not_after, is_given=answer.HasField("not_after"))
    return [
        ("reason", reason_text(answer.reason)),
        ("until", until if is_allowed else ""),
        ("basis", basis_text(answer.basis) if answer.HasField("basis") else ""),
        ("allowed channels", ", ".join(channels)),
    ]


def _show_datasets(output: Output, answer: Answer) -> None:
    output.table(
        ("data set", "verdict", "reason", "basis"),
        [
            (
                one.dataset,
                verdict_text(one.verdict),
                reason_code(one.reason),
                basis_text(one.basis) if one.HasField("basis") else "",
            )
            for one in answer.datasets
        ],
    )
