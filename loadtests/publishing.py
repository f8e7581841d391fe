"""Publications that concern everybody, for roll-outs and previews.

What lives here: changed documents, and asking the writer for what becomes of them.
"""

import time
from typing import Final

from maywe.v1 import catalog_pb2

from loadtests.installation import BenchError
from loadtests.population import CATALOG_PATH
from service.client import Client

ROLL_OUT_SECONDS_MAX: Final = 900.0
POLL_SECONDS: Final = 0.2

_ENDLESS: Final = "term: until_product_closed"
"""The term of the wordings on the processing of personal data, under which everybody has grants."""


def changed_document(number: int) -> str:
    """Give the catalog with a term changed that everybody has; another for every number."""
    document = CATALOG_PATH.read_text(encoding="utf-8")
    changed = document.replace(_ENDLESS, f"term: P{20 + number}Y")
    if changed == document:
        message = "the catalog has not the term that was to be changed"
        raise BenchError(message)
    return changed


def publish_and_wait(client: Client, number: int) -> catalog_pb2.Rollout:
    """Publish a changed catalog, and wait until everybody follows it everywhere."""
    response = client.catalog.Publish(
        catalog_pb2.PublishRequest(
            publication_id=f"bench-{number}",
            document=changed_document(number),
            publisher="bench",
        )
    )
    deadline = time.monotonic() + ROLL_OUT_SECONDS_MAX
    request = catalog_pb2.GetPublicationRequest(number=response.number)
    while True:
        rollout = client.catalog.GetPublication(request).rollout
        if rollout.state == catalog_pb2.ROLLOUT_STATE_EFFECTIVE:
            return rollout
        if time.monotonic() > deadline:
            message = f"publication {response.number} is not rolled out in time: {rollout}"
            raise BenchError(message)
        time.sleep(POLL_SECONDS)
