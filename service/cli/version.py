"""`maywe version`."""

import importlib.metadata

import click

from service.cli.exits import Command


@click.command("version", cls=Command)
def version_command() -> None:
    """Show the version of this program."""
    click.echo(f"maywe {importlib.metadata.version('maywe')}")
