"""`maywe ledger`: whether all that is recorded is as it was recorded.

What lives here: the command that verifies the ledger; it works on PostgreSQL itself, beside running
servers, and changes nothing.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from decision.errors import InvalidArgumentError
from service.cli.exits import Exit, Group, trouble
from service.cli.output import Output, number, standard_output
from service.cli.stores import opened_stores, works_on_stores
from store import verifying
from store.verifying import Fault, HeadsDigest, Verification, VerifyingProgress

PROCESSES_MAX: Final = 64
PROCESSES_BY_DEFAULT_MAX: Final = 8

LINE_SECONDS: Final = 10.0
"""How often progress is one more line where there is no terminal."""


@click.group("ledger", cls=Group)
def ledger() -> None:
    """Verify the ledger. Works on PostgreSQL directly, beside running servers."""


def _read_digest(
    _context: click.Context, _parameter: click.Parameter, given: str | tuple[str, ...] | None
) -> HeadsDigest | tuple[HeadsDigest, ...] | None:
    if given is None:
        return None
    try:
        if isinstance(given, str):
            return verifying.read_digest(given)
        return tuple(verifying.read_digest(text) for text in given)
    except InvalidArgumentError as error:
        raise click.BadParameter(str(error)) from error


@ledger.command("verify")
@click.option(
    "--since",
    metavar="DIGEST",
    callback=_read_digest,
    help="Walk only what was recorded after this digest was printed, which has to fit.",
)
@click.option(
    "--expect",
    metavar="DIGEST",
    multiple=True,
    callback=_read_digest,
    help="A digest printed before, which has to fit still. May be given several times.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, PROCESSES_MAX),
    default=min(os.cpu_count() or 1, PROCESSES_BY_DEFAULT_MAX),
    show_default=True,
    help="How many processes walk the chains.",
)
@works_on_stores
def verify(
    *,
    is_json: bool,
    since: HeadsDigest | None,
    expect: tuple[HeadsDigest, ...],
    processes: int,
    **flags: str | None,
) -> None:
    """Verify that nothing recorded was changed, removed, inserted or exchanged since.

    Every event and publication is hashed again, with what came before it; personal fields are held
    against what was committed to, and what follows from events against the events. The first bad
    event of each chain is named. The digest that is printed stands for the heads of all chains:
    note it down where nobody who can write to the database can change it, and give it to --expect
    later. Then even a chain that was written anew as a whole is found out.

    Exit status: 0 all is as it was recorded, 1 something is not.
    """
    output = standard_output(is_json=is_json)
    with opened_stores(flags) as stores, _shown_progress() as on_progress:
        try:
            found = verifying.verify(
                stores.engine,
                stores.addresses.postgres_url,
                since=since,
                expected=expect,
                processes=processes,
                on_progress=on_progress,
            )
        except InvalidArgumentError as error:
            raise trouble(str(error), Exit.USAGE) from error
    if is_json:
        output.json(_document(found))
    else:
        _show(output, found)
    if found.faults:
        raise trouble(f"the ledger is not as it was recorded: {_told(found.faults[0])}", Exit.NO)


def _document(found: Verification) -> dict[str, object]:
    return {
        "eventCount": found.events,
        "publicationCount": found.publications,
        "digest": None if found.digest is None else str(found.digest),
        "faults": [
            {
                "problem": fault.problem,
                "shard": fault.shard,
                "position": fault.position,
                "eventId": fault.event_id if fault.publication is None else "",
                "publication": fault.publication,
                "publicationId": fault.event_id if fault.publication is not None else "",
            }
            for fault in found.faults
        ],
    }


def _show(output: Output, found: Verification) -> None:
    fields = [("events", number(found.events)), ("publications", number(found.publications))]
    if found.digest is not None:
        fields.append(("digest", str(found.digest)))
    output.fields(fields)
    if found.faults:
        output.heading("first fault of each chain")
        output.table(
            ("shard", "position", "event", "what is wrong"),
            [
                (
                    "" if fault.shard is None else str(fault.shard),
                    "" if fault.position is None else str(fault.position),
                    fault.event_id,
                    fault.problem if fault.publication is None else _told(fault),
                )
                for fault in found.faults
            ],
        )


def _told(fault: Fault) -> str:
    if fault.publication is not None:
        where = f"publication {fault.publication}"
    elif fault.position is not None:
        where = f"shard {fault.shard}, position {fault.position}"
    else:
        where = ""
    event = f"event {fault.event_id}" if fault.event_id and fault.publication is None else ""
    return ": ".join(filter(None, (", ".join(filter(None, (where, event))), fault.problem)))


@contextmanager
def _shown_progress() -> Iterator[Callable[[VerifyingProgress], None]]:
    """Show a bar on the standard error when that is a terminal, else a line now and then."""
    console = Console(file=sys.stderr, highlight=False)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    began_at = told_at = time.monotonic()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("verifying", total=None)

        def on_progress(advance: VerifyingProgress) -> None:
            nonlocal told_at
            progress.update(task, completed=advance.events_done, total=advance.events_total)
            now = time.monotonic()
            if not console.is_terminal and now - told_at >= LINE_SECONDS:
                told_at = now
                rate = number(round(advance.events_done / (now - began_at)))
                click.echo(
                    f"{number(advance.events_done)} of {number(advance.events_total)} events, "
                    f"{rate} a second",
                    err=True,
                )

        yield on_progress
