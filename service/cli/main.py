"""`maywe`: the command line.

What lives here: the list of commands, and nothing else. A command's module is imported when it is
asked for: a check should not wait for the servers' libraries.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Final

import click

from service.cli.exits import Group

COMMANDS: Final[Mapping[str, str]] = {
    "serve": "service.cli.serving:serve",
    "migrate": "service.cli.serving:migrate_command",
    "config": "service.cli.serving:config_command",
    "version": "service.cli.version:version_command",
    "import": "service.cli.import_file:import_file",
    "catalog": "service.cli.catalog:catalog",
    "check": "service.cli.check:check",
    "decision": "service.cli.decision:decision",
    "receipt": "service.cli.receipt:receipt",
    "explain": "service.cli.explain:explain",
    "card": "service.cli.card:card",
    "revoke": "service.cli.revoke:revoke",
    "erase": "service.cli.erase:erase",
    "ledger": "service.cli.ledger:ledger",
    "cache": "service.cli.cache:cache",
    "epoch": "service.cli.epoch:epoch",
    "retention": "service.cli.retention:retention",
}
"""Module and name of each command."""


class _LazyGroup(Group):
    """A group that imports the command it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the names of all commands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None when there is no such one."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(cls=_LazyGroup)
def main() -> None:
    """Answer, from recorded consent, whom we may contact and whose data we may share."""
