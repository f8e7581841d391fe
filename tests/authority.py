"""A certificate authority and a token issuer for tests, made anew for each.

What lives here: keys, certificates and tokens as an installation would be given them. Nothing here
is a secret of anybody's.
"""

import datetime as dt
import ipaddress
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ISSUER: Final = "https://issuer.example"
AUDIENCE: Final = "maywe"
_DAY: Final = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Pair:
    """Files of a certificate and its key."""

    certificate: Path
    key: Path


class CertificateAuthority:
    """Issues certificates into a directory; `file` is its own certificate."""

    def __init__(self, directory: Path, name: str = "test authority") -> None:
        """Make the authority."""
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = directory / f"{name.replace(' ', '-')}.pem"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self,
        file_name: str,
        *,
        common_name: str = "",
        dns: Sequence[str] = (),
        uris: Sequence[str] = (),
        addresses: Sequence[str] = (),
        days: int = 1,
    ) -> Pair:
        """Write a certificate and its key, `file_name`.pem and `file_name`.key."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
        builder = self._builder(x509.Name(name), key.public_key(), days)
        names: list[x509.GeneralName] = [
            *map(x509.DNSName, dns),
            *map(x509.UniformResourceIdentifier, uris),
            *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses),
        ]
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        pair = Pair(self._directory / f"{file_name}.pem", self._directory / f"{file_name}.key")
        pair.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        certificate = builder.sign(self._key, hashes.SHA256())
        pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return pair

    def _builder(
        self, name: x509.Name, key: ec.EllipticCurvePublicKey, days: int = 1
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * _DAY)
            .not_valid_after(now + days * _DAY)
        )


class TokenIssuer:
    """Signs tokens, and writes the set of keys by which they are verified to `file`."""

    def __init__(self, file: Path) -> None:
        """Make the first key."""
        self.file = file
        self._keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self.newest = ""
        self.add_key("key-1")

    def add_key(self, key_id: str) -> None:
        """Sign with another key from now on, and publish it beside the others."""
        self._keys[key_id] = ec.generate_private_key(ec.SECP256R1())
        self.newest = key_id
        self._write()

    def remove_key(self, key_id: str) -> None:
        """Publish a key no longer."""
        del self._keys[key_id]
        self._write()

    def token(
        self,
        roles: Sequence[str] | str,
        subject: str = "somebody",
        *,
        headers: Mapping[str, Any] | None = None,
        **claims: object,
    ) -> str:
        """Give a token of five minutes; claims that are None are left out."""
        now = int(time.time())
        every = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "iat": now,
            "exp": now + 300,
            "roles": roles if isinstance(roles, str) else list(roles),
            **claims,
        }
        return jwt.encode(
            {name: claim for name, claim in every.items() if claim is not None},
            self._keys[self.newest],
            "ES256",
            {"kid": self.newest, **(headers or {})},
        )

    def _write(self) -> None:
        keys = [
            {
                **json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key())),
                "kid": key_id,
                "use": "sig",
                "alg": "ES256",
            }
            for key_id, key in self._keys.items()
        ]
        # As a deployment replaces a file: at once.
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps({"keys": keys}))
        new.replace(self.file)
