"""The issuer's keys: which of a set count, and which are left out."""

import json
import logging
from pathlib import Path
from typing import Any, Final

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from service.access import watched_file
from service.access.keys import KeySet, KeySetError
from tests.authority import TokenIssuer
from tests.opening import nothing_can_be_opened

ALGORITHMS: Final = ("ES256", "EdDSA", "RS256")


@pytest.fixture
def issuer(tmp_path: Path) -> TokenIssuer:
    """An issuer with one key."""
    return TokenIssuer(tmp_path / "keys.json")


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"keys": 1}', '{"keys": []}', '{"keys": [1]}', '{"keys": [{"kty": "EC"}]}',
     '{"keys": [{"kty": "oct", "kid": "k", "k": "c2VjcmV0"}]}', "[" * 100_000],
)  # fmt: skip
def test_a_faulty_set_of_keys_is_refused(tmp_path: Path, content: str) -> None:
    """A symmetric key too, which whoever reads the set could sign with."""
    file = tmp_path / "keys.json"
    file.write_text(content)
    with pytest.raises(KeySetError):
        KeySet(str(file), ALGORITHMS)


def test_keys_that_become_faulty_leave_those_before(issuer: TokenIssuer) -> None:
    """Somebody may just be writing the file."""
    keys = KeySet(str(issuer.file), ALGORITHMS)
    before = keys.current
    issuer.file.write_text("{")
    keys.refresh()
    assert keys.current is before


def _publish(issuer: TokenIssuer, *others: object, own: bool = True) -> None:
    """Publish keys beside the issuer's own, or instead of them."""
    entries = json.loads(issuer.file.read_bytes())["keys"] if own else []
    issuer.file.write_text(json.dumps({"keys": [*others, *entries]}))


def _jwk(**members: object) -> dict[str, object]:
    """Give a good key for ES256, with other members instead."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key)), "kid": "other", **members}


_PRIVATE = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1())))
_X25519: Final = {"kid": "other", "kty": "OKP", "crv": "X25519", "x": "AAAA"}
_OTHERS_KEYS: Final = {
    "for agreeing on keys": {**_X25519, "alg": "ECDH-ES"},
    "for agreeing on keys, unsaid": _X25519,
    "of a curve to come": _jwk(crv="P-1024"),
    "of a curve that is none": _jwk(crv=["P-256"]),
    "by an algorithm to come": _jwk(alg="ML-DSA-65"),
    "by an algorithm that is none": _jwk(alg=["ES256"]),
    "by an algorithm that is not allowed": _jwk(alg="ES512"),
    "of another kind than its algorithm": _jwk(alg="RS256"),
    "of a kind to come": _jwk(kty="AKP"),
    "of a kind that is none": _jwk(kty={"EC": 1}),
    "for secrets": _jwk(use="enc"),
    "for signing alone": _jwk(key_ops=["sign"]),
    "for what is no list": _jwk(key_ops="verify"),
    "off its curve": _jwk(x="A" * 43),
    "without its half": {"kid": "other", "kty": "EC", "crv": "P-256"},
    "of numbers": _jwk(x=5, y=None),
    "private": {**_PRIVATE, "kid": "other"},
    "without an id": _jwk(kid=None),
    "no object": 5,
}  # fmt: skip


@pytest.mark.parametrize("other", list(_OTHERS_KEYS.values()), ids=list(_OTHERS_KEYS))
def test_a_key_that_is_not_for_us_keeps_none_from_coming_or_going(
    issuer: TokenIssuer, other: object
) -> None:
    """RFC 7517, section 5: it is left out. Else a key that was withdrawn would stay in use."""
    _publish(issuer, other)
    keys = KeySet(str(issuer.file), ALGORITHMS)
    assert list(keys.current.by_id) == ["key-1"]
    issuer.add_key("key-2")
    issuer.remove_key("key-1")
    _publish(issuer, other)
    keys.refresh()
    assert list(keys.current.by_id) == ["key-2"]


@pytest.mark.parametrize(
    "members", [{"use": "sig"}, {"key_ops": ["verify"]}, {"key_ops": ["sign", "verify"]}, {}]
)
def test_a_key_that_is_for_verifying_counts(issuer: TokenIssuer, members: dict[str, Any]) -> None:
    """Whether it says so itself or says nothing."""
    _publish(issuer, _jwk(**members))
    assert set(KeySet(str(issuer.file), ALGORITHMS).current.by_id) == {"other", "key-1"}


def test_a_key_that_is_left_out_is_logged_once(
    issuer: TokenIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    """By its id, with the reason, and not with every change of the others."""
    caplog.set_level(logging.INFO)
    _publish(issuer, _jwk(alg="ML-DSA-65", kid="of\nthe future"))
    keys = KeySet(str(issuer.file), ALGORITHMS)
    issuer.add_key("key-2")
    _publish(issuer, _jwk(alg="ML-DSA-65", kid="of\nthe future"))
    keys.refresh()
    assert list(keys.current.by_id) == ["key-1", "key-2"]
    told = [record.message for record in caplog.records if "left out" in record.message]
    assert len(told) == 1
    assert r"'of\nthe future'" in told[0]
    assert "ML-DSA-65" in told[0]


@pytest.mark.parametrize("left", [[], [{"kty": "OKP", "crv": "X25519", "x": "AAAA", "kid": "a"}]])
def test_an_issuer_that_withdraws_every_key_ends_all_of_them(
    issuer: TokenIssuer, left: list[object], caplog: pytest.LogCaptureFixture
) -> None:
    """Its set can be read, and says that none holds; that nobody gets in is told."""
    keys = KeySet(str(issuer.file), ALGORITHMS)
    _publish(issuer, *left, own=False)
    keys.refresh()
    assert not keys.current.by_id
    assert "tokens are refused" in caplog.text
    issuer.add_key("key-2")
    keys.refresh()
    assert "key-2" in keys.current.by_id


def test_keys_that_could_not_be_opened_once_are_opened_again(
    issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a key that was withdrawn just then would stay in use."""
    monkeypatch.setattr(watched_file, "RETRY_SECONDS", 0.0)
    keys = KeySet(str(issuer.file), ALGORITHMS)
    issuer.add_key("key-2")
    issuer.remove_key("key-1")
    with nothing_can_be_opened():
        keys.refresh()
    assert list(keys.current.by_id) == ["key-1"]
    keys.refresh()
    assert list(keys.current.by_id) == ["key-2"]
