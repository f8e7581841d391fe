"""What commands share that work on the stores themselves and ask no server.

What lives here: their options, and opening the stores through the composition root.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import click

from decision.errors import UnavailableError
from service.cli.connection import json_option
from service.cli.exits import Exit, trouble
from service.embedded import EmbeddedServerError
from service.setting_table import SETTINGS
from service.settings import SettingsError, read_settings
from service.stores import NotMigratedError, Stores, open_stores

_SETTING_NAMES: Final = ("postgres_url", "redis_url", "redis_namespace", "data_directory")


def works_on_stores(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that name the stores, and `--json`."""
    command = json_option(command)
    for setting in reversed(SETTINGS):
        if setting.name in _SETTING_NAMES:
            command = click.option(
                setting.flag, setting.name, metavar="TEXT", help=f"{setting.help}."
            )(command)
    return command


@contextmanager
def opened_stores(flags: dict[str, str | None]) -> Iterator[Stores]:
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
