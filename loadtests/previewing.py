"""How fast a publication's effect on everybody is worked out beforehand.

What lives here: `python -m loadtests.previewing`: `PreviewPublication` of a document that changes a
term that everybody has. Servers and stores have all cores.
"""

import statistics
import time
from typing import Final

from maywe.v1 import catalog_pb2

from loadtests.bench import Bench, Measured, run_alone
from loadtests.figures import rounded
from loadtests.installation import BenchError
from loadtests.publishing import changed_document
from service.client import open_client

NUMBER: Final = 50
"""None of those that are published."""


def measure(bench: Bench) -> Measured:
    """Ask several times what the publication would do."""
    growing = bench.growing()
    growing.need(bench.sizes.imported_customers)
    request = catalog_pb2.PreviewPublicationRequest(document=changed_document(NUMBER))
    rates = []
    with (
        growing.installation.serving("writer") as [writer],
        open_client(writer.address, writer.address) as client,
    ):
        bench.say(f"previews of what would become of {growing.customers:,} customers")
        for _ in range(bench.sizes.publications):
            began_at = time.monotonic()
            answer = client.catalog.PreviewPublication(request)
            rates.append(answer.customer_count / (time.monotonic() - began_at))
            if answer.changed_count != growing.customers:
                message = f"the publication would change everybody, not {answer.changed_count}"
                raise BenchError(message)
    return Measured(
        {"preview_customers_per_s": statistics.median(rates)},
        {
            "preview_customers_per_s": [rounded(rate) for rate in rates],
            "customers": growing.customers,
        },
    )


if __name__ == "__main__":
    run_alone("previewing")
