"""`maywe serve`, `migrate` and `config`: the commands that run on the stores themselves.

What lives here: reading the settings, running a server until it is told to stop, and saying in one
line what keeps it from starting.
"""

import gc
import logging
import os
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

import click

from decision.errors import MayweError
from service.cli.exits import Command, Exit, Group, trouble
from service.composition import (
    ALL_ROLES,
    NotMigratedError,
    Role,
    migrate,
    open_application,
)
from service.control.server import ControlListenError
from service.embedded import EmbeddedServerError
from service.processes import ChildStartError, ParentLine
from service.server import ListenError, running_server
from service.settings import SETTINGS, Settings, SettingsError, read_settings, shown_settings
from service.several import NUMBER_VARIABLE, serving_processes
from service.stopping import told_to_stop

_LOG_FORMAT: Final = "%(asctime)s %(levelname)s {}%(name)s: %(message)s"


def with_settings(command: Callable[[Settings], None]) -> Callable[..., None]:
    """Give a command a flag for every setting, and hand it the settings."""

    @wraps(command)
    def with_flags(**flags: Any) -> None:  # noqa: ANN401 - the flags that follow from the table
        try:
            settings = read_settings(flags, os.environ)
        except SettingsError as error:
            raise trouble(str(error), Exit.USAGE) from error
        number = os.environ.pop(NUMBER_VARIABLE, "")
        log_format = _LOG_FORMAT.format(f"process {number}: " if number else "")
        logging.basicConfig(level=settings.log_level.upper(), format=log_format)
        try:
            command(settings)
        except (
            ChildStartError,
            EmbeddedServerError,
            NotMigratedError,
            ListenError,
            ControlListenError,
            MayweError,
        ) as error:
            raise trouble(str(error), Exit.NOT_KNOWN) from error

    decorated: Callable[..., None] = with_flags
    for setting in reversed(SETTINGS):
        decorated = click.option(
            setting.flag,
            setting.name,
            default=None,
            help=f"{setting.help} [{setting.variable}; {setting.default() or 'none'}]",
        )(decorated)
    return decorated


@click.group(cls=Group)
def serve() -> None:
    """Run a server until it is interrupted."""


@serve.command("decision")
@with_settings
def serve_decision(settings: Settings) -> None:
    """Answer questions."""
    _serve_together(settings, "decision", frozenset({Role.DECISION}))


@serve.command("writer")
@with_settings
def serve_writer(settings: Settings) -> None:
    """Record events and publications, and keep the cache in step."""
    _serve_together(settings, "writer", frozenset({Role.WRITER}))


@serve.command("worker")
@with_settings
def serve_worker(settings: Settings) -> None:
    """Keep the cache in step, compare it with the ledger and repair it; answers health alone."""
    _serve(settings, frozenset({Role.WORKER}))


@serve.command("all")
@with_settings
def serve_all(settings: Settings) -> None:
    """Do all of it in each process."""
    _serve_together(settings, "all", ALL_ROLES)


def _serve_together(settings: Settings, name: str, roles: frozenset[Role]) -> None:
    """Serve in this process, or look after as many processes as are wanted."""
    if settings.processes == 1:
        _serve(settings, roles)
        return
    stop = told_to_stop()
    with serving_processes(settings, name) as address:
        click.echo(f"listening on {address}")
        stop.wait()


def _serve(settings: Settings, roles: frozenset[Role]) -> None:
    stop = told_to_stop()
    parent = ParentLine()
    parent.stop_with_parent(stop)
    with (
        open_application(settings, roles) as application,
        running_server(application, settings.listen) as server,
    ):
        # What is there by now stays: it need not be looked through again and again, which would
        # stop every call for tens of milliseconds.
        gc.collect()
        gc.freeze()
        if not parent.is_there:
            click.echo(f"listening on {server.address}")
        parent.say_ready()
        stop.wait()


@click.command("migrate", cls=Command)
@with_settings
def migrate_command(settings: Settings) -> None:
    """Bring the database to the newest schema."""
    was_behind = migrate(settings)
    click.echo("the schema is up to date now" if was_behind else "the schema was up to date")


@click.command("config", cls=Command)
@with_settings
def config_command(settings: Settings) -> None:
    """Show every setting as it would be used, with what it is for, passwords masked."""
    shown = shown_settings(settings)
    for setting in SETTINGS:
        click.echo(f"# {setting.help}\n{setting.variable}={shown[setting.variable]}")
