"""`maywe check`: may we contact, may we share, now or later.

What lives here: the questions that the cached decision path answers. The exit status is the answer.
"""

import click
from maywe.v1.common_pb2 import DatasetAnswer, Verdict
from maywe.v1.decision_pb2 import (
    MayContactRequest,
    MayContactResponse,
    MayShareRequest,
    MayShareResponse,
)

from service.cli.connection import asks_servers
from service.cli.exits import Exit, Group
from service.cli.moments import (
    MOMENT,
    MOMENT_METAVAR,
    Moment,
    shown_end,
    shown_moment,
    timestamp_at,
)
from service.cli.output import Cell, Output
from service.cli.words import basis_text, reason_code, reason_text, verdict_text
from service.client import Client, answers_from

_OUTSIDE_PROMISE = "yes: the server had lost its lease, so a later revocation may be missing"

_STATUSES = {Verdict.VERDICT_ALLOW: Exit.DONE, Verdict.VERDICT_DENY: Exit.NO}

_at_option = click.option(
    "--at",
    type=MOMENT,
    metavar=MOMENT_METAVAR,
    help="Now or a future instant; a date is its start in the company zone.  [default: now]",
)
_token_option = click.option(
    "--token", default="", help="Token of a write that the answer must rest on."
)
_receipt_option = click.option(
    "--receipt",
    "wants_receipt",
    is_flag=True,
    help="Have the answer signed, for `maywe receipt verify`; the receipt is the last line.",
)


@click.group("check", cls=Group)
def check() -> None:
    """Ask whether a customer may be contacted, or data shared.

    Exit status: 0 allowed, 1 denied, 2 not known (no server, or it could not know), 64 wrong
    arguments.
    """


@check.command("contact")
@click.argument("customer")
@click.option("--channel", required=True, help="Code of the channel, such as sms.")
@click.option("--purpose", required=True, help="Code of the purpose, such as advertising.")
@_at_option
@_token_option
@_receipt_option
@asks_servers
def check_contact(
    client: Client,
    output: Output,
    customer: str,
    channel: str,
    purpose: str,
    at: Moment | None,
    token: str,
    *,
    wants_receipt: bool,
) -> None:
    """Ask whether CUSTOMER may be contacted by this channel for this purpose.

    Exit status: 0 allowed, 1 denied, 2 not known, 64 wrong arguments.
    """
    request = MayContactRequest(
        customer_id=customer,
        channel=channel,
        purpose=purpose,
        at=timestamp_at(at, client),
        token=token,
        receipt=wants_receipt,
    )
    with answers_from(client.decision_address):
        response = client.decision.MayContact(request)
    if output.is_json:
        output.message(response)
    else:
        output.line(verdict_text(response.verdict), f"  {channel} for {purpose} to {customer}")
        output.fields(
            [
                *_common_fields(response),
                ("basis", basis_text(response.basis) if response.HasField("basis") else ""),
                ("allowed channels", ", ".join(response.allowed_channels) or "none"),
                *evidence_fields(response),
            ]
        )
    _end_with(output, response)


@check.command("share")
@click.argument("customer")
@click.option("--partner", required=True, help="Code of the partner.")
@click.option(
    "--dataset",
    "datasets",
    required=True,
    multiple=True,
    help="Code of a data set; may be given several times.",
)
@click.option("--purpose", required=True, help="Code of the purpose, such as advertising.")
@_at_option
@_token_option
@_receipt_option
@asks_servers
def check_share(  # noqa: PLR0913 - one for each option
    client: Client,
    output: Output,
    customer: str,
    partner: str,
    datasets: tuple[str, ...],
    purpose: str,
    at: Moment | None,
    token: str,
    *,
    wants_receipt: bool,
) -> None:
    """Ask whether these data sets of CUSTOMER may be given to this partner.

    Allowed only when every data set is. Exit status: 0 allowed, 1 denied, 2 not known, 64 wrong
    arguments.
    """
    request = MayShareRequest(
        customer_id=customer,
        partner=partner,
        datasets=datasets,
        purpose=purpose,
        at=timestamp_at(at, client),
        token=token,
        receipt=wants_receipt,
    )
    with answers_from(client.decision_address):
        response = client.decision.MayShare(request)
    if output.is_json:
        output.message(response)
    else:
        what = ", ".join(datasets)
        output.line(
            verdict_text(response.verdict), f"  {what} of {customer} to {partner} for {purpose}"
        )
        output.fields(
            [
                *_common_fields(response),
                ("allowed data sets", ", ".join(response.allowed_datasets) or "none"),
                *evidence_fields(response),
            ]
        )
        output.heading("data sets")
        output.table(
            ("data set", "verdict", "reason", "until", "basis"),
            [
                (
                    answer.dataset,
                    verdict_text(answer.verdict),
                    reason_code(answer.reason),
                    _end_of(answer),
                    basis_text(answer.basis) if answer.HasField("basis") else "",
                )
                for answer in response.datasets
            ],
        )
    _end_with(output, response)


def _common_fields(response: MayContactResponse | MayShareResponse) -> list[tuple[str, Cell]]:
    return [("reason", reason_text(response.reason)), ("until", _end_of(response))]


def evidence_fields(response: MayContactResponse | MayShareResponse) -> list[tuple[str, Cell]]:
    """Give what an answer rests on, labelled for who asked."""
    return [
        ("decided at", shown_moment(response.decided_at)),
        ("state version", str(response.state_version)),
        ("catalog publication", str(response.catalog_publication)),
        ("decision", response.decision_id),
        ("outside the promise", _OUTSIDE_PROMISE if response.outside_promise else ""),
    ]


def _end_of(answer: MayContactResponse | MayShareResponse | DatasetAnswer) -> str:
    if answer.verdict != Verdict.VERDICT_ALLOW:
        return ""
    return shown_end(answer.not_after, is_given=answer.HasField("not_after"))


def _end_with(output: Output, response: MayContactResponse | MayShareResponse) -> None:
    if response.receipt and not output.is_json:
        output.heading("receipt")
        output.line(response.receipt)
    verdict = response.verdict
    click.get_current_context().exit(_STATUSES.get(verdict, Exit.NOT_KNOWN))
