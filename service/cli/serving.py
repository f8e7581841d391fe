"""`maywe serve`, `migrate` and `config`: the commands that run on the stores themselves.

What lives here: reading the settings, running a server until it is told to stop, and saying in one
line what keeps it from starting.
"""

import gc
import os
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, Final

import click

from decision.errors import MayweError
from service.access.callers_file import CallersFileError
from service.access.exposure import ExposureError, check_control_exposure, check_server_exposure
from service.access.keys import KeySetError
from service.application import ALL_ROLES, Role
from service.cli.exits import Command, Exit, Group, trouble
from service.composition import open_application
from service.control.server import ControlListenError
from service.embedded import EmbeddedServerError
from service.logs.formats import set_up_logs
from service.metrics.meters import meters_of_process
from service.metrics.port import MetricsListenError
from service.processes import ChildStartError, ParentLine
from service.receipts.keys import ReceiptKeyError
from service.server import ListenError, running_server
from service.setting_table import SETTINGS, Setting
from service.settings import (
    Settings,
    SettingsError,
    read_settings,
    refuse_secrets_in,
    shown_settings,
)
from service.several import NUMBER_VARIABLE, serving_processes
from service.stopping import told_to_stop
from service.stores import NotMigratedError, StandstillNeededError, migrate
from service.tls import TlsError
from service.tracing import TracingError, TracingSettings, check_tracing

_FIELDS: Final = frozenset(setting.name for setting in SETTINGS)


def with_settings(
    command: Callable[..., None], *, is_redis_needed: bool = True
) -> Callable[..., None]:
    """Give a command a flag for every setting, and hand it the settings and its own options."""

    @wraps(command)
    def with_flags(**flags: Any) -> None:  # noqa: ANN401 - the flags that follow from the table
        options = {name: flags.pop(name) for name in flags.keys() - _FIELDS}
        try:
            settings = read_settings(flags, os.environ, is_redis_needed=is_redis_needed)
            refuse_secrets_in(flags)
        except SettingsError as error:
            raise trouble(str(error), Exit.USAGE) from error
        number = os.environ.pop(NUMBER_VARIABLE, "")
        set_up_logs(settings.log_level, settings.log_format, number)
        try:
            command(settings, **options)
        except (
            ExposureError,
            CallersFileError,
            KeySetError,
            TlsError,
            ReceiptKeyError,
            TracingError,
        ) as error:
            raise trouble(str(error), Exit.USAGE) from error
        except (
            ChildStartError,
            EmbeddedServerError,
            NotMigratedError,
            StandstillNeededError,
            ListenError,
            ControlListenError,
            MetricsListenError,
            MayweError,
        ) as error:
            raise trouble(str(error), Exit.NOT_KNOWN) from error

    decorated: Callable[..., None] = with_flags
    for setting in reversed(SETTINGS):
        decorated = click.option(
            setting.flag,
            setting.name,
            default=None,
            help=f"{setting.help} [{_variables(setting)}; {setting.default() or 'none'}]",
        )(decorated)
    return decorated


def _variables(setting: Setting) -> str:
    """Say which environment variables give a setting."""
    return " or ".join(filter(None, (setting.variable, setting.file_variable)))


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
    check_server_exposure(settings, settings.listen)
    if Role.DECISION in roles:
        check_control_exposure(settings)
    stop = told_to_stop()
    check_tracing(TracingSettings(settings.tracing_endpoint, settings.tracing_ratio))
    with serving_processes(settings, name, roles, stop) as address:
        if not stop.is_set():
            click.echo(f"listening on {address}")
        stop.wait()


def _serve(settings: Settings, roles: frozenset[Role]) -> None:
    stop = told_to_stop()
    parent = ParentLine()
    parent.stop_with_parent(stop)
    with (
        open_application(settings, roles, meters_of_process()) as application,
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
@click.option(
    "--alone",
    "is_alone",
    is_flag=True,
    help="Take the steps too for which nothing of maywe may be running: you have stopped it all.",
)
@partial(with_settings, is_redis_needed=False)
def migrate_command(settings: Settings, *, is_alone: bool) -> None:
    """Bring the database to the newest schema."""
    was_behind = migrate(settings, is_alone=is_alone)
    click.echo("the schema is up to date now" if was_behind else "the schema was up to date")


@click.command("config", cls=Command)
@with_settings
def config_command(settings: Settings) -> None:
    """Show every setting as it would be used, with what it is for, passwords masked."""
    shown = shown_settings(settings)
    for setting in SETTINGS:
        click.echo(f"# {setting.help}\n{setting.variable}={shown[setting.variable]}")
