"""`maywe cache`: fill Redis from PostgreSQL, and compare the two.

What lives here: the commands that work on the stores themselves, through the composition root, and
ask no server.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from decision.errors import UnavailableError
from service.cli.connection import json_option
from service.cli.exits import Exit, Group, trouble
from service.cli.output import number, standard_output
from service.composition import NotMigratedError, Stores, open_stores
from service.embedded import EmbeddedServerError
from service.settings import SETTINGS, SettingsError, read_settings
from store import warming

_SETTING_NAMES: Final = ("postgres_url", "redis_url", "redis_namespace", "data_directory")


@click.group("cache", cls=Group)
def cache() -> None:
    """Fill or check Redis. Works on PostgreSQL and Redis directly, beside running servers."""


def _works_on_stores(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that name the stores, and `--json`."""
    command = json_option(command)
    for setting in reversed(SETTINGS):
        if setting.name in _SETTING_NAMES:
            command = click.option(
                setting.flag, setting.name, metavar="TEXT", help=f"{setting.help}."
            )(command)
    return command


@cache.command("warm")
@_works_on_stores
def warm(*, is_json: bool, **flags: str | None) -> None:
    """Put every customer into Redis, so that no check has to ask PostgreSQL.

    Exit status: 0 every shard is loaded, 1 some are not: run it again.
    """
    output = standard_output(is_json=is_json)
    with _opened_stores(flags) as stores, _shown_progress("warming") as on_progress:
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
@_works_on_stores
def verify(*, is_json: bool, **flags: str | None) -> None:
    """Compare every record in Redis with PostgreSQL.

    Exit status: 0 no record differs (missing ones are no fault), 1 some do.
    """
    output = standard_output(is_json=is_json)
    with _opened_stores(flags) as stores, _shown_progress("verifying") as on_progress:
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
def _opened_stores(flags: dict[str, str | None]) -> Iterator[Stores]:
    """Open the stores, every expected trouble in one line."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        settings = read_settings(flags, os.environ)
        with open_stores(settings) as stores:
            yield stores
    except SettingsError as error:
        raise trouble(str(error), Exit.USAGE) from error
    except (UnavailableError, NotMigratedError, EmbeddedServerError) as error:
        raise trouble(str(error), Exit.NOT_KNOWN) from error


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
