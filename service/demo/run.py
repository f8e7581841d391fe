"""The demonstration from beginning to end.

What lives here: the order of the chapters, and what is set up before and cleaned up after. Every
chapter checks what it sees and ends the demonstration when it is not right.
"""

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from decision.instants import from_datetime
from service.cli.output import number
from service.client import open_client
from service.demo.asking import CAST, ask_as_campaign_engine, ask_as_dialer, ask_as_partner
from service.demo.changing import (
    answer_the_regulator,
    correct_the_matrix,
    revoke_one,
    show_unmatched,
)
from service.demo.contracts import FIRST_CUSTOMER_NUMBER
from service.demo.history import generate_history
from service.demo.loading import import_history, publish_starter_catalog
from service.demo.narration import Narrator
from service.demo.processes import environment_for, run_maywe, running_servers
from service.embedded import EmbeddedOptions, embedded_servers, temporary_data_directory


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """How large the invented history is, and the seed it is made from."""

    customer_count: int
    product_count: int
    seed: int


def run_demo(options: DemoOptions) -> None:
    """Run the demonstration. Raises DemoFailedError when anything is not as it must be."""
    narrator = Narrator()
    now = from_datetime(datetime.now(UTC))
    with ExitStack() as stack:
        narrator.chapter("PostgreSQL, Redis, a decision server and a writer are started")
        data_directory = stack.enter_context(temporary_data_directory())
        work_directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="maywe-")))
        # Thrown away at the end, so nothing need be forced to disk.
        servers = stack.enter_context(
            embedded_servers(EmbeddedOptions(data_directory, durable=False))
        )
        environment = environment_for(servers)
        run_maywe(["migrate"], environment)
        addresses = stack.enter_context(running_servers(work_directory, environment))
        narrator.say(f"decision server at {addresses.decision}, writer at {addresses.writer}")

        client = stack.enter_context(open_client(addresses.decision, addresses.writer))
        document = publish_starter_catalog(narrator, client)

        narrator.chapter("A history is invented")
        history = generate_history(
            work_directory,
            now,
            seed=options.seed,
            customer_count=options.customer_count,
            product_count=options.product_count,
        )
        narrator.say(
            f"{number(options.customer_count)} customers, {number(options.product_count)} products "
            "over ten years: look-alike letters, duplicates, late and broken rows, repaid loans"
        )
        import_history(narrator, client, history)
        narrator.chapter("Redis is filled")
        narrator.say(run_maywe(["cache", "warm"], environment))

        ask_as_dialer(narrator, client)
        ask_as_campaign_engine(narrator, client, _audience(options.customer_count))
        ask_as_partner(narrator, client)
        revoke_one(narrator, client)
        correct_the_matrix(narrator, client, document, now)
        answer_the_regulator(narrator, client)
        show_unmatched(narrator, client)
        narrator.chapter("The end; servers stop and everything is removed")


def _audience(customer_count: int) -> list[str]:
    """Give the id of everybody there is."""
    numbers = range(FIRST_CUSTOMER_NUMBER, FIRST_CUSTOMER_NUMBER + customer_count)
    return [*map(str, numbers), *CAST]
