"""The options that every command which asks a server has, and what they open.

What lives here: addresses, the time limit and `--json`. What is asked is each command's.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec

import click

from service.cli.output import Output, standard_output
from service.client import DEFAULT_ADDRESS, DEFAULT_TIMEOUT_SECONDS, Client, open_client
from service.client.credentials import ClientCredentials

TIMEOUT_SECONDS_MAX: Final = 3_600.0
PORT_MAX: Final = 65_535

_Rest = ParamSpec("_Rest")


def _checked_address(
    _context: click.Context, _parameter: click.Parameter, address: str | None
) -> str | None:
    """Refuse what is no address before gRPC says so in its own words."""
    if address is None or address.startswith(("unix:", "dns:", "ipv4:", "ipv6:")):
        return address
    host, _, port = address.rpartition(":")
    is_port = port.isascii() and port.isdecimal() and 0 < int(port) <= PORT_MAX
    if not host or not is_port:
        raise click.BadParameter(f"{address!r} is not HOST:PORT, such as {DEFAULT_ADDRESS}")
    return address


_OPTIONS: Final = (
    click.option(
        "--address",
        envvar="MAYWE_ADDRESS",
        metavar="HOST:PORT",
        default=DEFAULT_ADDRESS,
        show_default=True,
        show_envvar=True,
        callback=_checked_address,
        help="The server, when decision server and writer are one.",
    ),
    click.option(
        "--decision-address",
        envvar="MAYWE_DECISION_ADDRESS",
        metavar="HOST:PORT",
        show_envvar=True,
        callback=_checked_address,
        help="The decision server, if not --address.",
    ),
    click.option(
        "--writer-address",
        envvar="MAYWE_WRITER_ADDRESS",
        metavar="HOST:PORT",
        show_envvar=True,
        callback=_checked_address,
        help="The writer, if not --address.",
    ),
    click.option(
        "--timeout-seconds",
        envvar="MAYWE_TIMEOUT_SECONDS",
        type=click.FloatRange(0, TIMEOUT_SECONDS_MAX, min_open=True),
        default=DEFAULT_TIMEOUT_SECONDS,
        show_default=True,
        show_envvar=True,
        help="How long one call may take, retries included.",
    ),
    *(
        click.option(
            f"--{name}-file",
            envvar=f"MAYWE_{name.upper().replace('-', '_')}_FILE",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            show_envvar=True,
            help=text,
        )
        for name, text in (
            ("ca", "The authority of the server's certificate, PEM; with it the call is by TLS."),
            ("certificate", "Our own certificate, PEM, for servers that ask for one."),
            ("key", "The key of that certificate, PEM."),
            ("token", "A token that says who we are, read anew for every call."),
        )
    ),
)

json_option: Final = click.option(
    "--json", "is_json", is_flag=True, help="Print JSON for programs instead of tables."
)


def asks_servers(
    command: Callable[Concatenate[Client, Output, _Rest], None],
) -> Callable[..., None]:
    """Give a command the options above, and hand it a client and its output first."""

    @functools.wraps(command)
    def with_client(  # noqa: PLR0913 - one for each option
        *args: Any,  # noqa: ANN401 - the command's own arguments
        address: str,
        decision_address: str | None,
        writer_address: str | None,
        timeout_seconds: float,
        ca_file: Path | None,
        certificate_file: Path | None,
        key_file: Path | None,
        token_file: Path | None,
        is_json: bool,
        **options: Any,  # noqa: ANN401 - the command's own options
    ) -> None:
        credentials = ClientCredentials(ca_file, certificate_file, key_file, token_file)
        with open_client(
            decision_address or address, writer_address or address, timeout_seconds, credentials
        ) as client:
            command(client, standard_output(is_json=is_json), *args, **options)

    decorated: Callable[..., None] = with_client
    for option in reversed((*_OPTIONS, json_option)):
        decorated = option(decorated)
    return decorated
