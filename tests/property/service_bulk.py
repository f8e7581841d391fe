"""`python -m tests.property.service_bulk FIRST LAST`: seeded scenarios through gRPC, compared.

Each seed drives a fresh system and the naive model through a scenario, asking in every way after
each few steps. The seeds from FIRST to LAST - 1 are run; the first line that differs is shown with
its seed, and the exit status says whether any did.
"""

import logging
import sys
import traceback
from typing import Final

from tests.model.choices import SeededChoices
from tests.model.random_steps import ScenarioBuilder
from tests.property.service_agreement import ServiceAgreement
from tests.property.service_questions import check_probe, explain_probe
from tests.running import fresh_maywe
from tests.servers import ServerUrls, migrated_template, servers_under_test

ROUNDS_PER_SEED: Final = 10
STEPS_PER_ROUND_MAX: Final = 5
BATCH_SIZE: Final = 6


def run(seed: int, urls: ServerUrls, template: str) -> None:
    """Run one seed on a fresh system. Raises AssertionError where anything differs."""
    choices = SeededChoices(seed)
    builder = ScenarioBuilder(choices)
    with fresh_maywe(urls, template) as maywe:
        agreement = ServiceAgreement(maywe)
        builder.add_first_steps()
        for step in builder.steps:
            agreement.apply(step)
        for _ in range(ROUNDS_PER_SEED):
            for _ in range(1 + choices.below(STEPS_PER_ROUND_MAX)):
                agreement.apply(builder.add_next_step())
            ask_in_every_way(agreement, builder)


def ask_in_every_way(agreement: ServiceAgreement, builder: ScenarioBuilder) -> None:
    """Ask a random question in each way in which there is one."""
    agreement.agree_on_batch([check_probe(builder) for _ in range(BATCH_SIZE)])
    agreement.agree_on_check(check_probe(builder))
    agreement.agree_on_audience(check_probe(builder))
    agreement.agree_on_list(check_probe(builder))
    agreement.agree_on_explain(explain_probe(builder))
    card = explain_probe(builder)
    agreement.agree_on_card(card)
    agreement.agree_on_unmatched(card["customer"])


def main(arguments: list[str]) -> int:
    """Run the seeds named, and give the exit status."""
    first, last = (int(argument) for argument in arguments)
    logging.disable(logging.WARNING)
    failed_count = 0
    with servers_under_test() as urls, migrated_template(urls.postgres) as template:
        for seed in range(first, last):
            try:
                run(seed, urls, template)
            except Exception:  # noqa: BLE001 - whatever a seed comes to is told, and the next is run
                failed_count += 1
                print(f"seed {seed}: {traceback.format_exc(limit=-3)}", flush=True)
    print(f"{last - first - failed_count} seeds agree, {failed_count} do not")
    return 1 if failed_count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
