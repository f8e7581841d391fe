"""`maywe`: the command line.

What lives here: the list of commands, and nothing else.
"""

from typing import Final

import click

from service.cli import serving
from service.cli.cache import cache
from service.cli.client_commands import CLIENT_COMMANDS
from service.cli.exits import Group

COMMANDS: Final[tuple[click.Command, ...]] = (*serving.COMMANDS, *CLIENT_COMMANDS, cache)


@click.group(cls=Group)
def main() -> None:
    """Answer, from recorded consent, whom we may contact and whose data we may share."""


for command in COMMANDS:
    main.add_command(command)
