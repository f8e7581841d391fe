"""`maywe erase`: remove everything personal of a customer, and leave the proof.

What lives here: asking whether it is meant, and going on until it is complete.
"""

import sys
import time
import uuid
from typing import Final

import click
from maywe.v1.common_pb2 import Source
from maywe.v1.event_pb2 import EraseCustomerRequest
from maywe.v1.writer_pb2 import (
    ERASURE_PROGRESS_NOTHING_HELD,
    ERASURE_PROGRESS_UNDER_WAY,
    EraseCustomerResponse,
)

from service.cli.connection import asks_servers
from service.cli.exits import Command, Exit, trouble
from service.cli.output import Output, message_object, number
from service.client import Client, ClientProblemError, Outcome, answers_from

REPEATS_MAX: Final = 5
"""How often the erasure is gone on with when it did not get to its end."""

REPEAT_SECONDS: Final = 1.0


@click.command("erase", cls=Command)
@click.argument("customer")
@click.option(
    "--with-merged",
    is_flag=True,
    help="Erase the ids that are one person with CUSTOMER too; where there are such, it is needed.",
)
@click.option("--yes", "is_meant", is_flag=True, help="Do not ask whether it is meant.")
@click.option("--event-id", metavar="ID", help="Id of the event; a new one if not given.")
@click.option("--process", default="", metavar="TEXT", help="The process that asks for it.")
@asks_servers
def erase(
    client: Client,
    output: Output,
    customer: str,
    *,
    with_merged: bool,
    is_meant: bool,
    event_id: str | None,
    process: str,
) -> None:
    """Remove everything personal of CUSTOMER, for good, from every store.

    First nothing of theirs counts any more, on any server; then ids, contract numbers, documents
    and free texts are removed, in Redis too. What happened and when stays provable. Running it
    again completes what was interrupted.

    Exit status: 0 nothing personal is left, 1 refused, 2 not complete yet: run it again.
    """
    if not is_meant:
        if not sys.stdin.isatty():
            raise click.UsageError("it can not be undone: give --yes where nobody can be asked")
        click.confirm(f"Erase {customer!r} for good?", abort=True, err=True)
    request = EraseCustomerRequest(
        event_id=str(uuid.uuid4()) if event_id is None else event_id,
        customer_id=customer,
        with_merged=with_merged,
        source=Source(process=process) if process else None,
    )
    response = _erase(client, request)
    for _ in range(REPEATS_MAX):
        if response.progress != ERASURE_PROGRESS_UNDER_WAY:
            break
        time.sleep(REPEAT_SECONDS)
        response = _erase(client, request)
    if output.is_json:
        output.json(message_object(response))
    else:
        _show(output, customer, response)
    if response.progress == ERASURE_PROGRESS_UNDER_WAY:
        raise trouble(
            "nothing of the customer counts any more, but what is personal is still there: run it "
            "again (writers go on by themselves)",
            Exit.NOT_KNOWN,
        )


def _erase(client: Client, request: EraseCustomerRequest) -> EraseCustomerResponse:
    try:
        with answers_from(client.writer_address):
            return client.writer.EraseCustomer(request)
    except ClientProblemError as error:
        if error.outcome is not Outcome.NOT_KNOWN:
            raise
        message = f"{error}; run it again, which goes on with what was begun"
        raise ClientProblemError(message, error.outcome) from error


def _show(output: Output, customer: str, response: EraseCustomerResponse) -> None:
    if response.progress == ERASURE_PROGRESS_NOTHING_HELD:
        output.line(f"nobody is known by {customer!r}, and nothing is left of it")
        return
    output.fields(
        [
            ("event", response.event_id),
            ("customer ids removed", number(response.customer_id_count)),
            ("events made nobody's", number(response.event_count)),
        ]
    )
    if response.naming_event_id_count:
        output.line(
            f"{number(response.naming_event_id_count)} events have ids of their own that name the "
            "customer, and ids of events stay: choose them so that they name nobody"
        )
