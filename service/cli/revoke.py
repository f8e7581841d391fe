"""`maywe revoke`: a customer takes consents back.

What lives here: building the event and showing what ended by it and what survives.
"""

import uuid
from typing import Final

import click
from maywe.v1 import common_pb2
from maywe.v1.common_pb2 import DURABILITY_EFFECTIVE, Selector, Source
from maywe.v1.event_pb2 import RevokeRequest
from maywe.v1.writer_pb2 import RevokeResponse

from service.cli.connection import asks_servers
from service.cli.exits import Command, Exit, trouble
from service.cli.moments import (
    MOMENT,
    MOMENT_METAVAR,
    Moment,
    now,
    shown_end,
    shown_moment,
    timestamp_at,
)
from service.cli.output import Output, message_object
from service.cli.words import durability_text, scope_text
from service.client import Client, ClientProblemError, Outcome, answers_from

REPEATS_MAX: Final = 2
"""How often a revocation is sent again that is recorded and of which not every server has heard."""

_KINDS = {
    "contact": common_pb2.SCOPE_KIND_CONTACT,
    "share": common_pb2.SCOPE_KIND_SHARE,
    "process": common_pb2.SCOPE_KIND_PROCESS,
}


@click.command("revoke", cls=Command)
@click.argument("customer")
@click.option("--all", "is_all", is_flag=True, help="Everything; stands alone.")
@click.option("--kind", type=click.Choice(list(_KINDS)), help="Only scopes of this kind.")
@click.option("--purpose", help="Only scopes of this purpose, a code.")
@click.option("--channel", help="Only contact by this channel, a code.")
@click.option("--partner", help="Only sharing with this partner, a code.")
@click.option("--dataset", help="Only sharing of this data set, a code.")
@click.option("--consent-type", help="Only grants of this consent type, a code.")
@click.option("--event", "of_event_id", help="Only the grants that this event gave.")
@click.option(
    "--at",
    type=MOMENT,
    metavar=MOMENT_METAVAR,
    help="When it was revoked; a date is its start in the company zone.  [default: now]",
)
@click.option("--event-id", help="Id of the revocation.  [default: a new one, which is printed]")
@click.option("--process", default="", help="The process that brings it, such as 'call centre'.")
@click.option("--source-channel", default="", help="Where the customer was met, such as branch.")
@click.option("--document", default="", help="Reference of the document that proves it.")
@click.option("--recorded-by", default="", help="Who records it.")
@asks_servers
def revoke(  # noqa: PLR0913 - one argument for each option
    client: Client,
    output: Output,
    customer: str,
    *,
    is_all: bool,
    kind: str | None,
    purpose: str | None,
    channel: str | None,
    partner: str | None,
    dataset: str | None,
    consent_type: str | None,
    of_event_id: str | None,
    at: Moment | None,
    event_id: str | None,
    process: str,
    source_channel: str,
    document: str,
    recorded_by: str,
) -> None:
    """Revoke consents of CUSTOMER: what all the given options select.

    What is consented to later is untouched. A standing objection is a restriction, not a
    revocation.
    """
    selector = Selector(
        all=is_all,
        kind=_KINDS[kind] if kind else None,
        purpose=purpose,
        channel=channel,
        partner=partner,
        dataset=dataset,
        consent_type=consent_type,
        event_id=of_event_id,
    )
    if not selector.ListFields():
        raise click.UsageError(
            "say what is revoked: --all for everything, or any of --kind, --purpose, --channel, "
            "--partner, --dataset, --consent-type, --event"
        )
    source = Source(
        process=process, channel=source_channel, document=document, recorded_by=recorded_by
    )
    request = RevokeRequest(
        event_id=str(uuid.uuid4()) if event_id is None else event_id,
        customer_id=customer,
        revoked_at=timestamp_at(at, client) or now(),
        selector=selector,
        source=source if source.ListFields() else None,
    )
    response = _record(client, request)
    for _ in range(REPEATS_MAX):
        if _is_effective(response):
            break
        response = _record(client, request)
    if output.is_json:
        revoked_at = request.revoked_at.ToJsonString()
        output.json(
            {"eventId": request.event_id, "revokedAt": revoked_at, **message_object(response)}
        )
    else:
        _show(output, request, response)
    if not _is_effective(response):
        raise trouble(
            "recorded, but perhaps not every server has heard of it; " + _how_to_repeat(request),
            Exit.NOT_KNOWN,
        )


def _is_effective(response: RevokeResponse) -> bool:
    return response.acknowledgement.durability == DURABILITY_EFFECTIVE


def _how_to_repeat(request: RevokeRequest) -> str:
    at = request.revoked_at.ToJsonString()
    return f"repeat the command with --event-id {request.event_id} --at {at}"


def _record(client: Client, request: RevokeRequest) -> RevokeResponse:
    """Record the event; when it is not known whether that worked, say how to repeat it."""
    try:
        with answers_from(client.writer_address):
            return client.writer.Revoke(request)
    except ClientProblemError as error:
        if error.outcome is not Outcome.NOT_KNOWN:
            raise
        raise ClientProblemError(
            f"{error}; {_how_to_repeat(request)}, which is safe whether or not it was recorded",
            error.outcome,
        ) from error


def _show(output: Output, request: RevokeRequest, response: RevokeResponse) -> None:
    acknowledgement = response.acknowledgement
    output.fields(
        [
            ("event", request.event_id),
            ("recorded at", shown_moment(acknowledgement.recorded_at)),
            ("state", durability_text(acknowledgement)),
            ("token", acknowledgement.token),
        ]
    )
    output.heading("ended")
    if not response.ended:
        output.line("nothing: no consent that it selects was in force")
    output.table(
        ("scope", "would have held until"),
        [
            (
                scope_text(ended.scope),
                shown_end(
                    ended.would_have_held_until, is_given=ended.HasField("would_have_held_until")
                ),
            )
            for ended in response.ended
        ],
    )
    output.heading("still allowed")
    if not response.surviving:
        output.line("nothing")
    output.table(
        ("scope", "until", "consent", "event"),
        [
            (
                scope_text(answer.scope),
                shown_end(answer.not_after, is_given=answer.HasField("not_after")),
                f"{answer.basis.consent_type}/{answer.basis.wording_version}",
                answer.basis.event_id,
            )
            for answer in response.surviving
        ],
    )
