"""How a program is connected to maywe: servers in turn, retries, keep-alive and credentials."""

import argparse
from importlib import resources
from pathlib import Path

import grpc


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take where the servers are, and by what they know us."""
    parser.add_argument("--address", required=True, help="dns:///maywe-decision:7443, for one")
    parser.add_argument("--ca-file", type=Path, help="the servers' authority; makes it TLS")
    parser.add_argument("--certificate-file", type=Path, help="our certificate, for mutual TLS")
    parser.add_argument("--key-file", type=Path, help="its key")
    parser.add_argument("--token-file", type=Path, help="a bearer token; needs TLS")


def open_channel(arguments: argparse.Namespace) -> grpc.Channel:
    """Open the one channel of a program: all its threads share it, and it is never opened anew."""
    options = [
        # Retries and balancing are the contract's, from the file that lies beside it.
        ("grpc.service_config", (resources.files("maywe.v1") / "service_config.json").read_text()),
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.max_receive_message_length", 67108864),
        ("grpc.keepalive_time_ms", 30000),
        ("grpc.keepalive_timeout_ms", 10000),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 500),
    ]
    if arguments.ca_file is None:
        return grpc.insecure_channel(arguments.address, options)
    credentials = grpc.ssl_channel_credentials(
        arguments.ca_file.read_bytes(),
        arguments.key_file and arguments.key_file.read_bytes(),
        arguments.certificate_file and arguments.certificate_file.read_bytes(),
    )
    if arguments.token_file is not None:
        token = grpc.metadata_call_credentials(_TokenFromFile(arguments.token_file))
        credentials = grpc.composite_channel_credentials(credentials, token)
    return grpc.secure_channel(arguments.address, credentials, options)


class _TokenFromFile(grpc.AuthMetadataPlugin):
    """Reads the token for every call: whoever renews it replaces the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, _: grpc.AuthMetadataContext, give: grpc.AuthMetadataPluginCallback) -> None:
        try:
            give((("authorization", f"Bearer {self._path.read_text().strip()}"),), None)
        except OSError as error:
            give((), error)
