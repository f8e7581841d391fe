"""Contracts of the invented history: who bought what when, and how a back office spells it.

What lives here: the portfolio and its mess of spelling. Writing files of it is in `products_file`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final

FIRST_CUSTOMER_NUMBER: Final = 10_000_000
DAYS_PER_MONTH: Final = 30
HISTORY_DAYS: Final = 3652
"""Ten years, with two or three leap days."""

LATIN_SPELLING_SHARE: Final = 0.15
GAP_SHARE: Final = 0.10
LOWER_CASE_SHARE: Final = 0.05
NUMBER_GROUP_DIGITS: Final = 4

_LATIN_LOOK_ALIKES: Final = str.maketrans("АВЕКМНОРСТУХ", "ABEKMHOPCTYX")
_GAPS: Final = (" ", "-", " - ", "–", "\N{NO-BREAK SPACE}")


@dataclass(frozen=True, slots=True)
class ProductKind:
    """A kind of product: how the back office names it, and how often and how long it is held."""

    label: str
    system_code: str
    series: tuple[str, ...]
    weight: int
    months_held: tuple[int, int] | None
    """The shortest and longest time until it is closed; None is never closed."""
    number_form: str = "{:08d}"


PRODUCT_KINDS: Final = {
    "consumer_loan": ProductKind("Потребительский кредит", "ABS", ("КР",), 22, (6, 60)),
    "insured_loan": ProductKind("Потребительский кредит", "ABS", ("КР",), 5, (12, 60), "{:08d}-С"),
    "credit_card": ProductKind("Кредитная карта", "CARDS", ("КК", "КК2"), 18, None),
    "debit_card": ProductKind(
        "Дебетовая карта", "CARDS", ("ДК", "ДК", "ДК", "ЗП", "ПР01", "КО-БР"), 18, (24, 60)
    ),
    "telecom_card": ProductKind("Дебетовая карта", "CARDS", ("ДК",), 2, None, "79{:08d}Т"),
    "deposit": ProductKind("Вклад", "DEPO", ("ДВ", "СР"), 12, (3, 24)),
    "mortgage": ProductKind("Ипотека", "ABS", ("ИП",), 6, None),
    "car_loan": ProductKind("Автокредит", "ABS", ("АВТ",), 5, (12, 60)),
    "current_account": ProductKind("Текущий счёт", "ABS", ("ТС",), 6, None),
    "brokerage_account": ProductKind("Брокерский счёт", "BROKER", ("БС",), 3, None),
    # The last two have no row in the starter catalog's matrix: they stay unmatched.
    "insurance_policy": ProductKind("Страховой полис", "INSURE", ("СП",), 2, (12, 13)),
    "safe_box": ProductKind("Аренда сейфа", "ABS", ("СЕ",), 1, (6, 24)),
}


@dataclass(frozen=True, slots=True)
class Contract:
    """One product of one customer. Times are local wall-clock times of the company zone."""

    customer_id: str
    kind: ProductKind
    series: str
    number: str
    bought_at: datetime
    closed_at: datetime | None


def make_portfolio(
    random: Random, now_local: datetime, customer_count: int, product_count: int
) -> list[Contract]:
    """Give contracts of the ten years before now; every customer has one at least."""
    numbers = range(FIRST_CUSTOMER_NUMBER, FIRST_CUSTOMER_NUMBER + customer_count)
    owners = [*numbers, *random.choices(numbers, k=max(0, product_count - customer_count))]
    kinds = random.choices(
        list(PRODUCT_KINDS.values()),
        weights=[kind.weight for kind in PRODUCT_KINDS.values()],
        k=len(owners),
    )
    return [
        _contract(random, now_local, str(owner), kind, serial)
        for serial, (owner, kind) in enumerate(zip(owners, kinds, strict=True))
    ]


def _contract(
    random: Random, now_local: datetime, customer_id: str, kind: ProductKind, serial: int
) -> Contract:
    bought_at = now_local - timedelta(
        days=random.randrange(1, HISTORY_DAYS), seconds=random.randrange(8 * 3600)
    )
    closed_at = None
    if kind.months_held is not None:
        months = random.randint(*kind.months_held)
        closed_at = bought_at + timedelta(days=months * DAYS_PER_MONTH)
    return Contract(
        customer_id,
        kind,
        random.choice(kind.series),
        kind.number_form.format(serial),
        bought_at.replace(microsecond=0),
        closed_at.replace(microsecond=0) if closed_at and closed_at < now_local else None,
    )


def misspelt_series(random: Random, series: str) -> str:
    """Spell a series as clerks do: Latin look-alikes, gaps and lower case, the meaning the same."""
    spelt = series
    if random.random() < LATIN_SPELLING_SHARE:
        letters = (
            letter.translate(_LATIN_LOOK_ALIKES) if random.random() < 0.7 else letter  # noqa: PLR2004 - most letters, not all
            for letter in spelt
        )
        spelt = "".join(letters)
    if random.random() < GAP_SHARE:
        place = random.randrange(1, len(spelt) + 1)
        spelt = spelt[:place] + random.choice(_GAPS) + spelt[place:]
    return spelt.lower() if random.random() < LOWER_CASE_SHARE else spelt


def misspelt_number(random: Random, number: str) -> str:
    """Spell a contract number with a gap within it now and then, the meaning the same."""
    if random.random() < GAP_SHARE:
        return number[:NUMBER_GROUP_DIGITS] + random.choice(_GAPS) + number[NUMBER_GROUP_DIGITS:]
    return number
