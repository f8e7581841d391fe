"""`maywe explain`: any question as of any instant, with its proof.

What lives here: the three questions and their options. How the proof looks is `explain_view`'s.
"""

from collections.abc import Callable

import click
from maywe.v1.common_pb2 import ContactQuestion, ProcessQuestion, ShareQuestion
from maywe.v1.decision_pb2 import ExplainRequest

from service.cli.connection import asks_servers
from service.cli.exits import Group
from service.cli.explain_view import show_explanation
from service.cli.moments import MOMENT, MOMENT_METAVAR, Moment, timestamp_at
from service.cli.output import Output
from service.client import Client, answers_from


def as_of_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the two instants of an as-of question."""
    for option in (
        click.option(
            "--known-at",
            type=MOMENT,
            metavar=MOMENT_METAVAR,
            help="Only what was recorded by then counts.  [default: everything]",
        ),
        click.option(
            "--valid-at",
            type=MOMENT,
            metavar=MOMENT_METAVAR,
            help="The instant in the world that is asked about.  [default: now]",
        ),
    ):
        command = option(command)
    return command


@click.group("explain", cls=Group)
def explain() -> None:
    """Answer a question as of any instant, and prove the answer."""


@explain.command("contact")
@click.argument("customer")
@click.option("--channel", required=True, help="Code of the channel, such as sms.")
@click.option("--purpose", required=True, help="Code of the purpose, such as advertising.")
@as_of_options
@asks_servers
def explain_contact(
    client: Client,
    output: Output,
    customer: str,
    channel: str,
    purpose: str,
    valid_at: Moment | None,
    known_at: Moment | None,
) -> None:
    """Explain whether CUSTOMER might be contacted by this channel for this purpose."""
    question = ContactQuestion(channel=channel, purpose=purpose)
    request = ExplainRequest(customer_id=customer, contact=question)
    _explain(client, output, request, valid_at, known_at)


@explain.command("share")
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
@as_of_options
@asks_servers
def explain_share(
    client: Client,
    output: Output,
    customer: str,
    partner: str,
    datasets: tuple[str, ...],
    purpose: str,
    valid_at: Moment | None,
    known_at: Moment | None,
) -> None:
    """Explain whether these data sets of CUSTOMER might be given to this partner."""
    question = ShareQuestion(partner=partner, datasets=datasets, purpose=purpose)
    request = ExplainRequest(customer_id=customer, share=question)
    _explain(client, output, request, valid_at, known_at)


@explain.command("process")
@click.argument("customer")
@click.option("--purpose", required=True, help="Code of the purpose, such as storage.")
@as_of_options
@asks_servers
def explain_process(
    client: Client,
    output: Output,
    customer: str,
    purpose: str,
    valid_at: Moment | None,
    known_at: Moment | None,
) -> None:
    """Explain whether data of CUSTOMER might be processed for this purpose."""
    question = ProcessQuestion(purpose=purpose)
    request = ExplainRequest(customer_id=customer, process=question)
    _explain(client, output, request, valid_at, known_at)


def _explain(
    client: Client,
    output: Output,
    request: ExplainRequest,
    valid_at: Moment | None,
    known_at: Moment | None,
) -> None:
    valid = timestamp_at(valid_at, client)
    known = timestamp_at(known_at, client)
    if valid is not None:
        request.valid_at.CopyFrom(valid)
    if known is not None:
        request.known_at.CopyFrom(known)
    with answers_from(client.decision_address):
        response = client.decision.Explain(request)
    if output.is_json:
        output.message(response)
    else:
        show_explanation(output, response)
