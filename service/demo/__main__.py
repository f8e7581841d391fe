"""`python -m service.demo`: the demonstration as a program.

What lives here: its options and its exit status.
"""

import signal
import sys

import click

from service.client import ClientProblemError
from service.demo.history import CUSTOMER_COUNT, DEFAULT_SEED, PRODUCT_COUNT
from service.demo.narration import DemoFailedError
from service.demo.run import DemoOptions, run_demo
from service.embedded import EmbeddedServerError
from service.importing import ImportFailedError

CUSTOMERS_MIN = 500
"""With fewer the history lacks some of what the chapters show."""


@click.command()
@click.option(
    "--customers",
    type=click.IntRange(CUSTOMERS_MIN),
    default=CUSTOMER_COUNT,
    show_default=True,
    help="How many customers to invent.",
)
@click.option(
    "--products",
    type=click.IntRange(CUSTOMERS_MIN),
    default=PRODUCT_COUNT,
    show_default=True,
    help="How many products they bought.",
)
@click.option(
    "--seed", type=int, default=DEFAULT_SEED, show_default=True, help="Another seed, other people."
)
def main(customers: int, products: int, seed: int) -> None:
    """See maywe work, from a product history to decisions. Ends by itself."""
    if products < customers:
        raise click.UsageError("every customer has a product: --products must not be smaller")
    # Whoever ends it politely gets the same clean-up as from the keyboard, also where a shell has
    # made background jobs deaf to it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        run_demo(DemoOptions(customers, products, seed))
    except KeyboardInterrupt:
        sys.exit("interrupted; everything is stopped and removed")
    except (
        DemoFailedError,
        ClientProblemError,
        ImportFailedError,
        EmbeddedServerError,
        click.ClickException,
    ) as error:
        message = error.format_message() if isinstance(error, click.ClickException) else str(error)
        sys.exit(f"the demonstration failed: {message}")


if __name__ == "__main__":
    main()
