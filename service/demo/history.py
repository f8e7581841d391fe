"""The invented history of a bank: ten years of products and consents, the same for the same seed.

What lives here: `generate_history`, which writes the files that the demonstration imports. The
mess of real life is in `contracts`, `products_file` and `consents_file`, the customers with a story
in `cast`.
"""

from dataclasses import dataclass, replace
from datetime import datetime, time
from pathlib import Path
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

from decision.instants import Instant, to_datetime
from service.demo.cast import cast_contracts, cast_records
from service.demo.catalog_correction import start_of_last_month
from service.demo.consents_file import (
    ConsentsFile,
    duplicate_cards,
    merge_record,
    write_consents_file,
)
from service.demo.contracts import make_portfolio
from service.demo.products_file import ProductsFile, write_products_file

CUSTOMER_COUNT: Final = 20_000
PRODUCT_COUNT: Final = 60_000
DEFAULT_SEED: Final = 2
COMPANY_ZONE: Final = ZoneInfo("Europe/Moscow")
"""The zone of the starter catalog, in which the files' local dates are meant."""

_MAPPINGS: Final = Path(__file__).with_name("mappings")
PRODUCTS_MAPPING_PATH: Final = _MAPPINGS / "products.yaml"
CONSENTS_MAPPING_PATH: Final = _MAPPINGS / "consents.yaml"


@dataclass(frozen=True, slots=True)
class History:
    """The files written, with the counts that an import of them must arrive at."""

    products: ProductsFile
    consents: ConsentsFile


def generate_history(
    directory: Path,
    now: Instant,
    *,
    seed: int = DEFAULT_SEED,
    customer_count: int = CUSTOMER_COUNT,
    product_count: int = PRODUCT_COUNT,
) -> History:
    """Write `products.csv` and `consents.jsonl` of the ten years before `now`.

    The same arguments give the same bytes. The products are imported first: consents may correct
    or lift only what is recorded.
    """
    random = Random(seed)
    now_in_zone = to_datetime(now).astimezone(COMPANY_ZONE)
    now_local = now_in_zone.replace(tzinfo=None)
    contracts = make_portfolio(random, now_local, customer_count, product_count)
    merges = []
    for index, card in duplicate_cards(random, contracts).items():
        merges.append(merge_record(random, now_in_zone, card, contracts[index].customer_id))
        contracts[index] = replace(contracts[index], customer_id=card)
    customer_ids = sorted({contract.customer_id for contract in contracts})
    correction_from = datetime.combine(start_of_last_month(now, COMPANY_ZONE), time())
    products = write_products_file(
        directory / "products.csv",
        random,
        contracts + cast_contracts(now_local, correction_from),
    )
    consents = write_consents_file(
        directory / "consents.jsonl",
        random,
        now_in_zone,
        customer_ids,
        merges + cast_records(now_in_zone),
    )
    return History(products, consents)
