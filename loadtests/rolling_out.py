"""How fast everybody's permissions are worked out anew after a publication.

What lives here: `python -m loadtests.rolling_out`. The publication changes a term that everybody
has. It takes from sending it until it is effective everywhere and Redis shows everybody's record.
Servers and stores have all cores.
"""

import statistics
import time

from loadtests.bench import Bench, Measured, run_alone
from loadtests.figures import rounded
from loadtests.installation import BenchError
from loadtests.publishing import publish_and_wait
from service.client import open_client


def measure(bench: Bench) -> Measured:
    """Publish several times."""
    growing = bench.growing()
    growing.need(bench.sizes.imported_customers)
    installation = growing.installation
    rates = []
    with (
        installation.serving("writer") as [writer],
        open_client(writer.address, writer.address) as client,
    ):
        bench.say(f"publications that concern all {growing.customers:,} customers")
        for number in range(bench.sizes.publications):
            began_at = time.monotonic()
            rollout = publish_and_wait(client, number)
            installation.wait_until_caught_up()
            seconds = time.monotonic() - began_at
            if rollout.customers_changed_count != growing.customers:
                message = f"the publication should change everybody: {rollout}"
                raise BenchError(message)
            rates.append(rollout.customers_done_count / seconds)
    return Measured(
        {"rollout_customers_per_s": statistics.median(rates)},
        {
            "rollout_customers_per_s": [rounded(rate) for rate in rates],
            "customers": growing.customers,
        },
    )


if __name__ == "__main__":
    run_alone("rolling_out")
