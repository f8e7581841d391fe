"""What a customer takes in Redis.

What lives here: `python -m loadtests.memory`. Redis tells how much memory it uses, before anybody
is there and after everybody was warmed up: keys, records, metas and Redis's own tables.
"""

from loadtests.bench import Bench, Measured, run_alone
from loadtests.figures import rounded


def measure(bench: Bench) -> Measured:
    """Divide what Redis has grown by, by the number of customers."""
    filled = bench.filled(bench.sizes.customers)
    return Measured(
        {"redis_bytes_per_customer": filled.redis_bytes / filled.customers},
        {"redis_mebibytes": rounded(filled.redis_bytes / 2**20), "customers": filled.customers},
    )


if __name__ == "__main__":
    run_alone("memory")
