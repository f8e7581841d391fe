"""`maywe receipt`: verify a receipt offline, and give the public keys to whoever wants to.

What lives here: two commands that need no server and no store.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from service.cli.connection import json_option
from service.cli.exits import Exit, Group, trouble
from service.cli.output import standard_output
from service.receipts.keys import (
    ReceiptKeyError,
    key_set_of,
    read_public_keys,
    read_signing_keys,
)
from service.receipts.verifying import RECEIPT_LENGTH_MAX, ReceiptError, verify_receipt

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group("receipt", cls=Group)
def receipt() -> None:
    """Verify receipts, and give the keys that others verify them with. Needs no server."""


@receipt.command("keys")
@click.option(
    "--receipt-keys-file",
    "file",
    envvar="MAYWE_RECEIPT_KEYS_FILE",
    type=_FILE,
    required=True,
    show_envvar=True,
    help="The keys of the servers, PEM.",
)
def keys_command(file: Path) -> None:
    """Print the public keys of the servers' keys as a JSON Web Key Set, to be given to anybody."""
    try:
        keys = read_signing_keys(file.read_bytes())
    except ReceiptKeyError as error:
        raise trouble(f"{file}: {error}", Exit.USAGE) from error
    standard_output(is_json=True).json(key_set_of(keys.public_keys))


@receipt.command("verify")
@click.argument("receipt_or_file", metavar="RECEIPT|FILE|-")
@click.option(
    "--keys",
    "keys_file",
    type=_FILE,
    required=True,
    help="The public keys: what `maywe receipt keys` prints, or PEM.",
)
@json_option
def verify_command(receipt_or_file: str, keys_file: Path, *, is_json: bool) -> None:
    """Verify that a receipt was signed by one of the keys, and show what it says.

    It is given itself, as a file that holds it, or as - by the standard input.

    Exit status: 0 it holds, 1 it does not.
    """
    try:
        keys = read_public_keys(keys_file.read_bytes())
    except ReceiptKeyError as error:
        raise trouble(f"{keys_file}: {error}", Exit.USAGE) from error
    try:
        claims = verify_receipt(_text_of(receipt_or_file), keys)
    except ReceiptError as error:
        raise trouble(f"the receipt does not hold: {error}", Exit.NO) from error
    output = standard_output(is_json=is_json)
    if is_json:
        output.json(dict(claims))
    else:
        output.fields((label, str(value)) for label, value in _flat(claims))


def _text_of(receipt_or_file: str) -> str:
    """Read a receipt: one has two dots in it and stands in one line."""
    if receipt_or_file == "-":
        return sys.stdin.read(RECEIPT_LENGTH_MAX + 1)
    is_receipt = receipt_or_file.count(".") == 2 and receipt_or_file.startswith("ey")  # noqa: PLR2004 - of three parts
    if is_receipt and len(receipt_or_file) > _FILE_NAME_LENGTH_MAX:
        return receipt_or_file
    with Path(receipt_or_file).open("rb") as file:
        return file.read(RECEIPT_LENGTH_MAX + 1).decode("utf-8", "replace")


_FILE_NAME_LENGTH_MAX = 255


def _flat(claims: Mapping[str, Any], prefix: str = "") -> list[tuple[str, object]]:
    """Give every claim with its path."""
    fields: list[tuple[str, object]] = []
    for name, value in claims.items():
        if isinstance(value, Mapping):
            fields += _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for index, one in enumerate(value):
                fields += _flat(one, f"{prefix}{name}[{index}].")
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            fields.append((f"{prefix}{name}", shown))
    return fields
