"""`maywe epoch`: show and raise the epoch of the ledger.

What lives here: what an operator does who restored PostgreSQL from a backup. The commands work on
the stores themselves and ask no server.
"""

import click

from service.cli.exits import Group
from service.cli.output import standard_output
from service.cli.stores import opened_stores, works_on_stores
from store.database import reading
from store.epochs import raise_epoch, read_epoch


@click.group("epoch", cls=Group)
def epoch() -> None:
    """Show or raise the epoch, the life of the ledger. Works on PostgreSQL directly."""


@epoch.command("show")
@works_on_stores
def show(*, is_json: bool, **flags: str | None) -> None:
    """Show the epoch, and whether every lease of an older one is known to be over."""
    output = standard_output(is_json=is_json)
    with opened_stores(flags) as stores, reading(stores.engine) as connection:
        found = read_epoch(connection)
    if is_json:
        output.json({"epoch": found.number, "isSettled": found.is_settled})
    else:
        settled = "yes" if found.is_settled else "no: writes are answered DURABLE for now"
        output.fields([("epoch", str(found.number)), ("settled", settled)])


@epoch.command("raise")
@works_on_stores
def raise_command(*, is_json: bool, **flags: str | None) -> None:
    """Begin a new epoch. Needed after PostgreSQL was restored from a backup.

    Run it before anything is served from the restored database. What Redis holds from an older
    epoch is not used any more: PostgreSQL answers until Redis is filled again, for which there is
    `maywe cache warm`. Writes are answered DURABLE until every lease from before is over, and
    EFFECTIVE after that. Nothing that is recorded changes.
    """
    output = standard_output(is_json=is_json)
    with opened_stores(flags) as stores:
        with reading(stores.engine) as connection:
            before = read_epoch(connection).number
        after = raise_epoch(stores.engine, before)
    if is_json:
        output.json({"epoch": after, "previousEpoch": before})
        return
    output.line(f"epoch {after} begins, after epoch {before}")
    output.line("what Redis holds from before is not used any more: run `maywe cache warm`")
    output.line("writes are answered DURABLE until every lease from before is over")
