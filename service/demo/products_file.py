"""The products file of the invented history, as a bank's back office would export it.

What lives here: rows in CSV with semicolons, quotes, Cyrillic headers, a byte-order mark, late and
repeated and blank and bad lines. How many of each is returned, so that an import can be checked.
"""

from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from service.demo.contracts import Contract, misspelt_number, misspelt_series

HEADER: Final = (
    "Система",
    "Вид продукта",
    "Серия договора",
    "Номер договора",
    "Код клиента",
    "Операция",
    "Дата операции",
    "Отделение",
    "Примечание",
)
BOUGHT: Final = "Выдача"
CLOSED: Final = "Закрытие"

TIMED_SHARE: Final = 0.3
LATE_SHARE: Final = 0.03
LATE_DAYS_MAX: Final = 400
REPEATED_SHARE: Final = 0.008
BLANK_SHARE: Final = 0.0005
NOTE_SHARE: Final = 0.05

_NOTES: Final = (
    "зарплатный клиент",
    'перевод из офиса "Центральный"; без визита',
    "со слов клиента:\nномер изменён",
    "исправлено; см. служебную записку\r\nот руководителя",
)
_BLANK_LINES: Final = (b"\r\n", b"  \r\n", b";;;;;;;;\r\n")

# Every one of these is one bad line with one fault.
_BAD_LINES: Final = (
    "ABS;Вклад;ДВ;90000001;10000001;Выдача;31.02.2019;001;",
    "ABS;Вклад;ДВ;90000002;;Выдача;01.03.2019;001;",
    "CARDS;Дебетовая карта;ДК;90000003;10000003;Перевыпуск;01.03.2019;001;",
    "ABS;Вклад;ДВ;90000004",
    "ABS;Вклад;ДВ;90000005;10000005;Выдача;01.03.2019;001;;лишнее",
    "ABS;Криптокошелёк;КШ;90000006;10000006;Выдача;01.03.2019;001;",
    f"ABS;Вклад;ДВ;90000007;{'7' * 200};Выдача;01.03.2019;001;",
    "ABS;Вклад;Д\x07В;90000008;10000008;Выдача;01.03.2019;001;",
    "ABS;Вклад;ДВ;90000009;10000009;Выдача;01.01.1899;001;",
    'ABS;"Вклад"ы;ДВ;90000010;10000010;Выдача;01.03.2019;001;',
    "ABS;Вклад;ДВ;90000011;10000011;Выдача;;001;",
    '"ABS;Вклад;ДВ;90000012;10000012;Выдача;01.03.2019;001;',
)
_WRONGLY_ENCODED_LINE: Final = "ABS;Вклад;ДВ;90000013;10000013;Выдача;01.03.2019;001;"


class ProductsFile(NamedTuple):
    """What was written."""

    path: Path
    event_lines: int
    """Lines that are events, repeats included."""
    repeats: int
    bad_lines: int


def write_products_file(path: Path, random: Random, contracts: list[Contract]) -> ProductsFile:
    """Write the purchases and closings of the contracts.

    They come customer by customer, as core systems keep them, and a customer's by time but for the
    late ones.
    """
    dated = [
        (contract.customer_id, at, line)
        for contract in contracts
        for at, line in _lines(random, contract)
    ]
    event_count = len(dated)
    for customer_id, at, line in random.sample(dated, int(event_count * REPEATED_SHARE)):
        repeated_at = at + timedelta(days=random.randrange(1, LATE_DAYS_MAX))
        dated.append((customer_id, repeated_at, line))
    dated.sort(key=lambda entry: entry[:2])
    lines = [line for _, _, line in dated]
    bad_lines = [f"{line}\r\n".encode() for line in _BAD_LINES]
    bad_lines.append(f"{_WRONGLY_ENCODED_LINE}\r\n".encode("cp1251"))
    others = bad_lines + random.choices(_BLANK_LINES, k=int(event_count * BLANK_SHARE) + 1)
    lines = _strewn(random, lines, others)
    header = _csv_line(HEADER)
    path.write_bytes(b"\xef\xbb\xbf" + header + b"".join(lines))
    return ProductsFile(path, len(dated), len(dated) - event_count, len(bad_lines))


def _lines(random: Random, contract: Contract) -> list[tuple[datetime, bytes]]:
    """Give the contract's rows, each with the time at which it reaches the file."""
    branch = f"{random.randrange(1, 90):03d}"
    rows = [(contract.bought_at, BOUGHT)]
    if contract.closed_at is not None:
        rows.append((contract.closed_at, CLOSED))
    lines = []
    for at, operation in rows:
        reached_at = at
        if random.random() < LATE_SHARE:
            reached_at += timedelta(days=random.randrange(5, LATE_DAYS_MAX))
        cells = (
            contract.kind.system_code,
            contract.kind.label,
            misspelt_series(random, contract.series),
            misspelt_number(random, contract.number),
            contract.customer_id,
            operation,
            f"{at:%d.%m.%Y %H:%M:%S}" if random.random() < TIMED_SHARE else f"{at:%d.%m.%Y}",
            branch,
            random.choice(_NOTES) if random.random() < NOTE_SHARE else "",
        )
        lines.append((reached_at, _csv_line(cells)))
    return lines


def _strewn(random: Random, lines: list[bytes], others: list[bytes]) -> list[bytes]:
    """Put the other lines between the lines at random places."""
    places = sorted(random.randrange(len(lines) + 1) for _ in others)
    random.shuffle(others)
    result: list[bytes] = []
    begin = 0
    for place, other in zip(places, others, strict=True):
        result += lines[begin:place]
        result.append(other)
        begin = place
    return result + lines[begin:]


def _csv_line(cells: tuple[str, ...]) -> bytes:
    return (";".join(map(_quoted, cells)) + "\r\n").encode()


def _quoted(cell: str) -> str:
    if any(letter in cell for letter in ';"\r\n'):
        return '"' + cell.replace('"', '""') + '"'
    return cell
