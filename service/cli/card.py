"""`maywe card`: one overall picture of a customer's consents.

What lives here: the question and how the card looks.
"""

import click
from maywe.v1 import consent_pb2
from maywe.v1.consent_pb2 import ConsentSummary, GetConsentCardRequest, GetConsentCardResponse

from service.cli.connection import asks_servers
from service.cli.evidence_view import show_grants, show_restrictions
from service.cli.exits import Command
from service.cli.explain import as_of_options
from service.cli.moments import Moment, shown_end, shown_moment, timestamp_at
from service.cli.output import Output
from service.cli.words import reason_code, scope_text
from service.client import Client, answers_from

_STATUSES = {
    consent_pb2.CONSENT_STATUS_IN_FORCE: "in force",
    consent_pb2.CONSENT_STATUS_NOT_YET_VALID: "not yet valid",
    consent_pb2.CONSENT_STATUS_ENDED: "ended",
}


@click.command("card", cls=Command)
@click.argument("customer")
@as_of_options
@asks_servers
def card(
    client: Client,
    output: Output,
    customer: str,
    valid_at: Moment | None,
    known_at: Moment | None,
) -> None:
    """Show the consents of CUSTOMER, whatever they came from.

    An unknown customer has an empty card; that is no error.
    """
    request = GetConsentCardRequest(
        customer_id=customer,
        valid_at=timestamp_at(valid_at, client),
        known_at=timestamp_at(known_at, client),
    )
    with answers_from(client.writer_address):
        response = client.consent.GetConsentCard(request)
    if output.is_json:
        output.message(response)
    else:
        _show(output, customer, response)


def _show(output: Output, customer: str, response: GetConsentCardResponse) -> None:
    zone = response.zone
    if not response.customer_ids:
        output.line(f"no event names customer {customer}")
        return
    output.fields(
        [
            ("customer", response.canonical_customer_id),
            ("all ids", ", ".join(response.customer_ids)),
            ("valid at", shown_moment(response.valid_at, zone)),
            ("known at", shown_moment(response.known_at, zone)),
            ("company zone", zone),
            ("catalog publication", str(response.publication.number or "")),
        ]
    )
    output.heading("consents")
    output.table(
        ("consent", "status", "from", "until", "ended by"),
        [
            (
                summary.consent_type,
                _STATUSES.get(summary.status, ""),
                shown_moment(summary.term_from, zone) if summary.HasField("term_from") else "",
                _term_end(summary, zone),
                reason_code(summary.ended_by),
            )
            for summary in response.consents
        ],
    )
    output.heading("allowed")
    output.table(
        ("scope", "until", "consent", "event"),
        [
            (
                scope_text(answer.scope),
                shown_end(answer.not_after, is_given=answer.HasField("not_after"), zone_name=zone),
                f"{answer.basis.consent_type}/{answer.basis.wording_version}",
                answer.basis.event_id,
            )
            for answer in response.allowed_scopes
        ],
    )
    if response.restrictions:
        output.heading("restrictions")
        show_restrictions(output, response.restrictions, zone)
    output.heading("every consent given")
    show_grants(output, (grant for entry in response.consents for grant in entry.grants), zone)


def _term_end(summary: ConsentSummary, zone: str) -> str:
    if not summary.HasField("term_from"):
        return ""
    return shown_end(summary.term_until, is_given=summary.HasField("term_until"), zone_name=zone)
