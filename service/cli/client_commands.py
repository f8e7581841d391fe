"""The commands that ask servers.

What lives here: their list only, for the command line's own to register.
"""

from typing import Final

import click

from service.cli.card import card
from service.cli.catalog import catalog
from service.cli.check import check
from service.cli.explain import explain
from service.cli.import_file import import_file
from service.cli.revoke import revoke

CLIENT_COMMANDS: Final[tuple[click.Command, ...]] = (
    import_file,
    catalog,
    check,
    explain,
    card,
    revoke,
)
