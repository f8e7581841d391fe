"""`maywe import`: a bank's file of products or consents into the ledger.

What lives here: the command. Sending is `service.importing.sending`'s.
"""

from pathlib import Path

import click

from service.cli.connection import asks_servers
from service.cli.exits import Command, Exit, trouble
from service.cli.import_view import ImportProgressView, outcome_object, show_outcome
from service.cli.output import Output, hint
from service.client import Client, answers_from, company_zone
from service.importing import ImportFailedError
from service.importing.sending import ImportStoppedError, import_task, send_file


@click.command("import", cls=Command)
@click.argument(
    "path", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--mapping",
    "mapping_path",
    required=True,
    metavar="M.yaml",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Says what the columns mean; see docs/import.md.",
)
@asks_servers
def import_file(client: Client, output: Output, path: Path, mapping_path: Path) -> None:
    """Import FILE, CSV or JSON Lines: every line is recorded, or rejected with its reason.

    Rejected lines are written to FILE.rejected.csv. After an interruption the same command goes
    on; nothing is doubled. Exit status: 0 every line is accounted for, rejected ones included;
    1 when every one was rejected.
    """
    with answers_from(client.writer_address):
        zone = company_zone(client.catalog)
    try:
        task = import_task(path, mapping_path, zone)
        with ImportProgressView(path.name) as view:
            outcome = send_file(task, client.import_events, client.writer_address, view)
    except ImportStoppedError as error:
        raise trouble(str(error), Exit.NOT_KNOWN) from error
    except ImportFailedError as error:
        raise trouble(str(error), Exit.USAGE) from error
    except KeyboardInterrupt:
        hint("what was sent is kept: the same command goes on from there")
        raise
    if output.is_json:
        output.json(outcome_object(outcome))
    else:
        show_outcome(output, outcome)
    if not outcome.adds_up:
        raise trouble("the counts do not add up: please report this", Exit.DEFECT)
    if outcome.rejected and not outcome.accepted + outcome.repeated:
        raise trouble("not one line could be imported: is this the mapping of the file?", Exit.NO)
