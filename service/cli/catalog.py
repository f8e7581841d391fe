"""`maywe catalog`: validate, preview, publish, export, log.

What lives here: the calls. How faults, previews and roll-outs look is `catalog_view`'s.
"""

import getpass
import sys
import uuid
from pathlib import Path
from typing import Final, NoReturn

import click
from maywe.v1.catalog_pb2 import (
    GetCatalogRequest,
    ListPublicationsRequest,
    ListPublicationsResponse,
    PreviewPublicationRequest,
    PublishRequest,
    ValidateCatalogRequest,
    ValidateCatalogResponse,
)
from maywe.v1.evidence_pb2 import PublicationReference

from service.cli.catalog_view import show_faults, show_preview
from service.cli.catalog_wait import wait_until_effective
from service.cli.connection import asks_servers
from service.cli.evidence_view import show_publications
from service.cli.exits import Exit, Group, trouble
from service.cli.moments import MOMENT, MOMENT_METAVAR, Moment, shown_moment, timestamp_at
from service.cli.output import Output, hint, message_object, number
from service.client import Client, ClientProblemError, Outcome, answers_from

DOCUMENT_BYTES_MAX: Final = 3 * 1024 * 1024
"""The contract's limit; beyond it gRPC would refuse the message in words of its own."""

PUBLICATIONS_PER_PAGE: Final = 100
WAIT_SECONDS_DEFAULT: Final = 600.0
WAIT_SECONDS_MAX: Final = 86_400.0

_document_argument = click.argument(
    "path", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)


@click.group("catalog", cls=Group)
def catalog() -> None:
    """Check, preview, publish and read the catalog."""


@catalog.command("validate")
@_document_argument
@asks_servers
def validate(client: Client, output: Output, path: Path) -> None:
    """List every fault of the catalog document FILE; publish nothing.

    Exit status: 0 it can be published, 1 it has faults.
    """
    response = _validated(client, _document(path))
    if output.is_json:
        output.message(response)
    elif response.faults:
        show_faults(output, response.faults)
    else:
        output.line(f"no faults; compared with publication {response.base_number or 'none'}")
    if response.faults:
        click.get_current_context().exit(Exit.NO)


@catalog.command("preview")
@_document_argument
@click.option(
    "--samples",
    "sample_size",
    type=click.IntRange(0, 100),
    default=10,
    show_default=True,
    help="How many customers to show.",
)
@click.option("--hand-in", is_flag=True, help="Hand FILE in, so that somebody else may publish it.")
@asks_servers
def preview(client: Client, output: Output, path: Path, sample_size: int, *, hand_in: bool) -> None:
    """Work out who would gain and who would lose what by publishing FILE; publish nothing."""
    document = _document(path)
    request = PreviewPublicationRequest(document=document, sample_size=sample_size, hand_in=hand_in)
    try:
        with answers_from(client.writer_address):
            response = client.catalog.PreviewPublication(request)
    except ClientProblemError as error:
        _end_refused(client, output, document, error)
    if output.is_json:
        output.message(response)
    else:
        show_preview(output, response)


@catalog.command("publish")
@_document_argument
@click.option("--publisher", help="Who publishes.  [asked for on a terminal]")
@click.option("--comment", help="Why.  [asked for on a terminal]")
@click.option("--publication-id", help="Id of the publication.  [default: a new one]")
@click.option(
    "--expected-number",
    type=click.IntRange(min=0),
    help="Number of the newest publication as far as you know, 0 for none; refused if there is "
    "another by now.",
)
@click.option("--wait", "is_waiting", is_flag=True, help="Wait until it is effective everywhere.")
@click.option(
    "--wait-seconds",
    type=click.FloatRange(0, WAIT_SECONDS_MAX, min_open=True),
    default=WAIT_SECONDS_DEFAULT,
    show_default=True,
    help="How long to wait at most.",
)
@asks_servers
def publish(  # noqa: PLR0913 - one argument for each option
    client: Client,
    output: Output,
    path: Path,
    *,
    publisher: str | None,
    comment: str | None,
    publication_id: str | None,
    expected_number: int | None,
    is_waiting: bool,
    wait_seconds: float,
) -> None:
    """Publish the catalog document FILE as a whole, or list its faults and publish nothing.

    Exit status: 0 published (with --wait: and effective), 1 refused, 2 not known.
    """
    document = _document(path)
    request = PublishRequest(
        publication_id=str(uuid.uuid4()) if publication_id is None else publication_id,
        document=document,
        publisher=_publisher(publisher),
        comment=_comment(comment),
        expected_number=expected_number,
    )
    try:
        with answers_from(client.writer_address):
            response = client.catalog.Publish(request)
    except ClientProblemError as error:
        if error.outcome is Outcome.NOT_KNOWN:
            raise ClientProblemError(
                f"{error}; repeat the command with --publication-id {request.publication_id}, "
                "which is safe whether or not it was published",
                error.outcome,
            ) from error
        _end_refused(client, output, document, error)
    if not output.is_json:
        repeat = " (published before, nothing changed)" if response.acknowledgement.repeat else ""
        output.line(
            f"publication {response.number} recorded at "
            f"{shown_moment(response.acknowledgement.recorded_at)}{repeat}"
        )
    rollout = None
    if is_waiting:
        rollout = wait_until_effective(client, response.number, wait_seconds)
    if output.is_json:
        fields = message_object(response)
        if rollout is not None:
            fields["rollout"] = message_object(rollout)
        output.json({"publicationId": request.publication_id, **fields})
    elif rollout is not None:
        output.line(
            f"effective: {number(rollout.customers_done_count)} customers worked out anew, "
            f"{number(rollout.customers_changed_count)} of them changed"
        )


@catalog.command("export")
@click.option(
    "--known-at",
    type=MOMENT,
    metavar=MOMENT_METAVAR,
    help="The catalog as known then.  [default: the newest]",
)
@click.option(
    "--output",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file.  [default: the standard output]",
)
@asks_servers
def export(client: Client, output: Output, known_at: Moment | None, target: Path | None) -> None:
    """Write the catalog document exactly as it was published."""
    request = GetCatalogRequest(known_at=timestamp_at(known_at, client))
    with answers_from(client.writer_address):
        response = client.catalog.GetCatalog(request)
    if output.is_json:
        output.message(response)
    elif target is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(response.document.encode())
    else:
        target.write_bytes(response.document.encode())
        hint(f"publication {response.publication.number} written to {target}")


@catalog.command("log")
@click.option(
    "--limit", type=click.IntRange(min=1), help="At most so many, the newest first.  [default: all]"
)
@asks_servers
def log(client: Client, output: Output, limit: int | None) -> None:
    """List the publications, the newest first."""
    publications: list[PublicationReference] = []
    token = ""
    while limit is None or len(publications) < limit:
        request = ListPublicationsRequest(page_size=PUBLICATIONS_PER_PAGE, page_token=token)
        with answers_from(client.writer_address):
            page = client.catalog.ListPublications(request)
        publications += page.publications
        token = page.next_page_token
        if not token:
            break
    publications = publications[:limit]
    if output.is_json:
        output.message(ListPublicationsResponse(publications=publications))
    elif publications:
        show_publications(output, publications)
    else:
        output.line("nothing is published: `maywe catalog publish FILE`")


def _document(path: Path) -> str:
    content = path.read_bytes()
    if len(content) > DOCUMENT_BYTES_MAX:
        raise click.UsageError(f"{path} has {len(content)} bytes, {DOCUMENT_BYTES_MAX} are allowed")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise click.UsageError(
            f"{path} is not UTF-8: byte {error.start + 1} cannot be read; save it as UTF-8"
        ) from error


def _publisher(given: str | None) -> str:
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise click.UsageError("say who publishes: --publisher NAME")
    answer: str = click.prompt("Publisher", default=getpass.getuser(), err=True)
    return answer


def _comment(given: str | None) -> str:
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise click.UsageError('say why: --comment TEXT (--comment "" says nothing)')
    answer: str = click.prompt("Comment", default="", show_default=False, err=True)
    return answer


def _validated(client: Client, document: str) -> ValidateCatalogResponse:
    with answers_from(client.writer_address):
        return client.catalog.ValidateCatalog(ValidateCatalogRequest(document=document))


def _end_refused(
    client: Client, output: Output, document: str, error: ClientProblemError
) -> NoReturn:
    """List the faults because of which a document was refused; without any, raise the error."""
    if error.outcome is Outcome.NOT_KNOWN:
        raise error
    response = _validated(client, document)
    if not response.faults:
        raise error
    if output.is_json:
        output.message(response)
    else:
        show_faults(output, response.faults)
    raise trouble("refused because of these faults; nothing was published", Exit.NO) from error
