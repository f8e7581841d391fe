"""`maywe cache`: fill Redis from PostgreSQL, and compare the two.

What lives here: the commands that compare and copy between the stores. They ask no server.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from service.cli.exits import Exit, Group, trouble
from service.cli.output import number, standard_output
from service.cli.stores import opened_stores, works_on_stores
from store import warming


@click.group("cache", cls=Group)
def cache() -> None:
    """Fill or check Redis. Works on PostgreSQL and Redis directly, beside running servers."""


@cache.command("warm")
@works_on_stores
def warm(*, is_json: bool, **flags: str | None) -> None:
    """Put every customer into Redis, so that no check has to ask PostgreSQL.

    Exit status: 0 every shard is loaded, 1 some are not: run it again.
    """
    output = standard_output(is_json=is_json)
    with opened_stores(flags) as stores, _shown_progress("warming") as on_progress:
        report = warming.warm(stores.engine, stores.cache, on_progress=on_progress)
    if is_json:
        output.json(
            {"customerCount": report.customers, "incompleteShards": report.incomplete_shards}
        )
    else:
        output.line(f"{number(report.customers)} customers are in Redis")
    if report.incomplete_shards:
        raise trouble(
            f"{len(report.incomplete_shards)} shards kept being begun anew: run it again", Exit.NO
        )


@cache.command("verify")
@works_on_stores
def verify(*, is_json: bool, **flags: str | None) -> None:
    """Compare every record in Redis with PostgreSQL.

    Exit status: 0 no record differs (missing ones are no fault), 1 some do.
    """
    output = standard_output(is_json=is_json)
    with opened_stores(flags) as stores, _shown_progress("verifying") as on_progress:
        report = warming.verify(stores.engine, stores.cache, on_progress=on_progress)
    counts = asdict(report)
    sample = counts.pop("sample")
    if is_json:
        output.json({**{f"{name}Count": count for name, count in counts.items()}, "sample": sample})
    else:
        output.fields([(name, number(count)) for name, count in counts.items()])
        output.fields([("such as", ", ".join(sample))])
    if report.different:
        raise trouble(f"{number(report.different)} records differ: run `maywe cache warm`", Exit.NO)


@contextmanager
def _shown_progress(title: str) -> Iterator[Callable[[warming.Progress], None]]:
    """Show a progress bar on the standard error when that is a terminal."""
    console = Console(file=sys.stderr, highlight=False)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=None)

        def on_progress(advance: warming.Progress) -> None:
            progress.update(task, completed=advance.customers_done, total=advance.customers_total)

        yield on_progress
