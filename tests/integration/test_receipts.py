"""Receipts: answers that others verify offline, with nothing but a public key.

They are verified here twice: by ours, and by a few lines that share nothing with it.
"""

import base64
import hashlib
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from maywe.v1 import common_pb2, decision_pb2

from service.access import watched_file
from service.receipts.keys import ReceiptKeyError, read_public_keys, read_signing_keys
from service.receipts.signing import ReceiptSigner
from service.receipts.verifying import ReceiptError, verify_receipt
from tests.access import Guarded, first_answer
from tests.authority import AUDIENCE, ISSUER, TokenIssuer
from tests.integration.command_line import one_line, run
from tests.integration.service_builders import at, catalog, failure_of, purchase
from tests.opening import nothing_can_be_opened
from tests.running import RunningMaywe, running_maywe
from tests.servers import ServerUrls, new_database

pytestmark = pytest.mark.integration

WORDING = "Согласен получать предложения."
CONTACT = "/maywe.v1.DecisionService/MayContact"
SHARE = "/maywe.v1.DecisionService/MayShare"


def pem_of(key: Ed25519PrivateKey) -> bytes:
    """A key as openssl writes it."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def public_pem_of(key: Ed25519PrivateKey) -> bytes:
    """Its public part."""
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def put(file: Path, *keys: bytes) -> None:
    """Replace a file of keys as a deployment does, at once."""
    new = file.with_suffix(".new")
    new.write_bytes(b"".join(keys))
    new.replace(file)


class Receipts:
    """A server that signs receipts and knows its callers, and the file of its keys."""

    def __init__(self, guarded: Guarded, file: Path) -> None:
        """Ask as a dialer, unless a token is given."""
        self.guarded = guarded
        self.file = file
        self.token = guarded.token("decision.read", subject="dialer")

    def contact(self, customer_id: str = "ivan", **fields: Any) -> decision_pb2.MayContactResponse:
        """Ask for an answer about a text message, with a receipt."""
        asked = {
            "customer_id": customer_id,
            "channel": "sms",
            "purpose": "advertising",
            "receipt": True,
            **fields,
        }
        answer: decision_pb2.MayContactResponse = first_answer(
            self.guarded.channel, CONTACT, asked, self.token
        )
        return answer

    def share(self, token: str = "") -> decision_pb2.MayShareResponse:
        """Ask for an answer about contacts for acme, with a receipt."""
        asked = {
            "customer_id": "ivan",
            "partner": "acme",
            "datasets": ["contacts"],
            "purpose": "advertising",
            "receipt": True,
        }
        answer: decision_pb2.MayShareResponse = first_answer(
            self.guarded.channel, SHARE, asked, token or self.token
        )
        return answer

    def key_set(self) -> dict[str, Any]:
        """What the command gives for others."""
        document: dict[str, Any] = run(
            "receipt", "keys", "--receipt-keys-file", str(self.file)
        ).json
        return document

    def verified(self, receipt: str) -> dict[str, Any]:
        """Verify a receipt by ours and by others' means, which have to say the same."""
        keys = self.key_set()
        ours = verify_receipt(receipt, read_public_keys(json.dumps(keys).encode()))
        others = verified_by_others(receipt, keys)
        assert ours == others
        return others


def decoded(part: str) -> bytes:
    """A part of a JWS."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def encoded(data: bytes) -> str:
    """A part of a JWS."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def verified_by_others(receipt: str, key_set: dict[str, Any]) -> dict[str, Any]:
    """Verify as RFC 7515 and RFC 8037 say, and give the claims."""
    header, payload, signature = receipt.split(".")
    key_id = json.loads(decoded(header))["kid"]
    [key] = [key for key in key_set["keys"] if key["kid"] == key_id]
    assert (key["kty"], key["crv"]) == ("OKP", "Ed25519")
    public = Ed25519PublicKey.from_public_bytes(decoded(key["x"]))
    public.verify(decoded(signature), f"{header}.{payload}".encode())
    claims: dict[str, Any] = json.loads(decoded(payload))
    return claims


@pytest.fixture(scope="module")
def receipts(
    server_urls: ServerUrls, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Receipts]:
    """A server with a key, a catalog and one customer, ivan."""
    directory = tmp_path_factory.mktemp("receipts")
    issuer = TokenIssuer(directory / "tokens.json")
    file = directory / "receipts.pem"
    put(file, pem_of(Ed25519PrivateKey.generate()))
    with (
        new_database(server_urls.postgres, template_url=template_database) as database_url,
        running_maywe(
            database_url,
            server_urls.redis,
            f"maywe-test-{uuid.uuid4().hex}",
            token_keys=str(issuer.file),
            token_issuer=ISSUER,
            token_audience=AUDIENCE,
            receipt_keys_file=str(file),
        ) as maywe,
        grpc.insecure_channel(maywe.address) as channel,
    ):
        guarded = Guarded(maywe, channel, issuer)
        guarded.answer(
            guarded.token("catalog.publisher", subject="petrova"),
            "CatalogService",
            "Publish",
            publication_id="first",
            document=json.dumps(catalog()),
        )
        first_answer(
            channel,
            "/maywe.v1.WriterService/RecordPurchase",
            purchase("ivan"),
            guarded.token("writer", subject="crm"),
        )
        maywe.wait_until_projected()
        yield Receipts(guarded, file)


def text_of(instant: Any) -> str:
    """An instant as a receipt has it."""
    text: str = instant.ToJsonString()
    return text


def test_a_receipt_says_what_the_answer_says(receipts: Receipts) -> None:
    """Who asked what, when, the answer, the basis with the hash of its wording, and the ledger."""
    answer = receipts.contact()
    claims = receipts.verified(answer.receipt)
    text = json.dumps({"": WORDING}, ensure_ascii=False, separators=(",", ":"))
    iat = claims.pop("iat")
    assert abs(iat - answer.decided_at.seconds) < 60
    assert claims == {
        "version": 1,
        "jti": answer.decision_id,
        "caller": "dialer",
        "question": {
            "customer_id": "ivan",
            "contact": {"channel": "sms", "purpose": "advertising"},
        },
        "decided_at": text_of(answer.decided_at),
        "answer": {
            "verdict": "ALLOW",
            "reason": "ALLOWED",
            "not_after": text_of(answer.not_after),
            "basis": {
                "event_id": answer.basis.event_id,
                "consent_type": "marketing",
                "wording_version": 1,
                "obtained_at": text_of(answer.basis.obtained_at),
                "ends_at": text_of(answer.basis.ends_at),
                "wording_sha256": hashlib.sha256(text.encode()).hexdigest(),
            },
            "outside_promise": False,
            "allowed_channels": ["phone", "sms"],
        },
        "ledger": {
            "epoch": claims["ledger"]["epoch"],
            "state_version": answer.state_version,
            "catalog_publication": answer.catalog_publication,
        },
    }
    assert answer.verdict == common_pb2.VERDICT_ALLOW


def test_a_denial_and_a_later_instant_have_receipts_too(receipts: Receipts) -> None:
    """What is not in the answer is not in the receipt."""
    later = "2099-01-01T00:00:00Z"
    claims = receipts.verified(receipts.contact("nobody", at=at(later)).receipt)
    assert claims["question"]["at"] == claims["decided_at"] == later
    assert claims["answer"] == {
        "verdict": "DENY",
        "reason": "UNKNOWN_CUSTOMER",
        "outside_promise": False,
        "allowed_channels": [],
    }


def test_a_share_has_a_basis_for_each_data_set(receipts: Receipts) -> None:
    """As the answer has."""
    answer = receipts.share()
    claims = receipts.verified(answer.receipt)
    [dataset] = claims["answer"]["datasets"]
    assert dataset["dataset"] == "contacts"
    assert dataset["basis"]["event_id"] == answer.datasets[0].basis.event_id
    assert claims["question"]["share"]["partner"] == "acme"


def test_a_partners_receipt_says_no_more_than_its_answer(receipts: Receipts) -> None:
    """Verdicts, and until when they hold."""
    partner = receipts.guarded.token("partner:acme", subject="acme-server")
    answer = receipts.share(partner)
    claims = receipts.verified(answer.receipt)
    assert claims["caller"] == "acme-server"
    assert claims["ledger"] == {}
    assert claims["answer"]["verdict"] == "ALLOW"
    assert claims["answer"]["datasets"] == [
        {
            "dataset": "contacts",
            "verdict": "ALLOW",
            "reason": "ALLOWED",
            "not_after": text_of(answer.datasets[0].not_after),
        }
    ]


def paths_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in a document."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from paths_in(one, (*path, name))
    elif isinstance(value, list) and value:
        for index, one in enumerate(value):
            yield from paths_in(one, (*path, index))
    else:
        yield path


def with_other(document: Any, path: tuple[Any, ...]) -> Any:
    """The document with one value changed."""
    copied = json.loads(json.dumps(document))
    holder = copied
    for step in path[:-1]:
        holder = holder[step]
    value = holder[path[-1]]
    match value:
        case bool():
            holder[path[-1]] = not value
        case int():
            holder[path[-1]] = value + 1
        case list():
            holder[path[-1]] = ["sms"]
        case _:
            holder[path[-1]] = f"{value}x"
    return copied


def test_a_receipt_in_which_anything_was_changed_does_not_hold(receipts: Receipts) -> None:
    """Every claim and every part of the header, and whatever is left out or added."""
    receipt = receipts.contact().receipt
    header, payload, signature = receipt.split(".")
    keys = read_public_keys(json.dumps(receipts.key_set()).encode())
    claims, head = (json.loads(decoded(part)) for part in (payload, header))
    changed = [with_other(claims, path) for path in paths_in(claims)]
    assert len(changed) >= 18
    changed += [{name: claims[name] for name in claims if name != left} for left in claims]
    changed.append({**claims, "more": 1})
    forged = [f"{header}.{encoded(json.dumps(one).encode())}.{signature}" for one in changed]
    heads = [with_other(head, path) for path in paths_in(head)]
    heads += [{**head, "alg": "none"}, {**head, "crit": ["exp"]}]
    forged += [f"{encoded(json.dumps(one).encode())}.{payload}.{signature}" for one in heads]
    forged += [f"{header}.{payload}.", f"{header}.{payload}", "", "a.b.c", receipt[:-3] + "AAA"]
    forged.append(f"\ud800{receipt}")
    unsigned = encoded(json.dumps({**head, "alg": "none"}).encode())
    forged.append(f"{unsigned}.{payload}.")
    for one in forged:
        with pytest.raises(ReceiptError):
            verify_receipt(one, keys)
    assert verify_receipt(receipt, keys) == claims
    with pytest.raises(InvalidSignature):
        verified_by_others(forged[0], receipts.key_set())


def test_what_the_same_key_signs_and_is_no_receipt_does_not_pass_for_one(tmp_path: Path) -> None:
    """A token of another kind, or of a version that nobody knows yet."""
    key = Ed25519PrivateKey.generate()
    put(tmp_path / "keys.pem", pem_of(key))
    keys = read_signing_keys(pem_of(key))
    claims = {"jti": "d", "iat": 1, "version": 1}
    others = [("maywe-receipt+jwt", {**claims, "version": version}) for version in (2, True, 1.0)]
    for kind, written in (("JWT", claims), *others):
        signed = jwt.encode(written, key, "EdDSA", {"kid": keys.key_id, "typ": kind})
        with pytest.raises(ReceiptError):
            verify_receipt(signed, keys.public_keys)
    good = jwt.encode(claims, key, "EdDSA", {"kid": keys.key_id, "typ": "maywe-receipt+jwt"})
    assert verify_receipt(good, keys.public_keys) == claims


def test_keys_rotate_while_the_server_runs(receipts: Receipts) -> None:
    """A new key signs; receipts of before hold by the set that has both; a faulty file is left."""
    before = receipts.contact().receipt
    old = receipts.file.read_bytes()
    new = Ed25519PrivateKey.generate()
    put(receipts.file, pem_of(new), old)
    signer = receipts.guarded.maywe.application.signer
    assert signer is not None
    signer.refresh()
    after = receipts.contact().receipt
    assert jwt.get_unverified_header(before)["kid"] != jwt.get_unverified_header(after)["kid"]
    receipts.verified(before)
    receipts.verified(after)
    put(receipts.file, b"half a key")
    signer.refresh()
    still = receipts.contact().receipt
    put(receipts.file, pem_of(new), old)
    assert receipts.verified(still)["answer"]["verdict"] == "ALLOW"


def test_a_batch_has_no_receipts(receipts: Receipts) -> None:
    """A question of it that asks for one is wrong, and the others are answered."""
    question = {"customer_id": "ivan", "channel": "sms", "purpose": "advertising"}
    answer = first_answer(
        receipts.guarded.channel,
        "/maywe.v1.DecisionService/BatchCheck",
        {"checks": [{"contact": {**question, "receipt": True}}, {"contact": question}]},
        receipts.token,
    )
    assert answer.results[0].error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert "receipt" in answer.results[0].error.message
    assert answer.results[1].contact.verdict == common_pb2.VERDICT_ALLOW


def test_without_a_key_asking_for_a_receipt_is_refused(maywe: RunningMaywe) -> None:
    """With what to do about it; without one the question is answered."""
    maywe.publish(catalog())
    request = decision_pb2.MayContactRequest(
        customer_id="ivan", channel="sms", purpose="advertising", receipt=True
    )
    failed = failure_of(lambda: maywe.client.decision.MayContact(request))
    assert failed.code is grpc.StatusCode.FAILED_PRECONDITION
    assert (failed.reason, failed.metadata) == ("NO_RECEIPT_KEY", {"field": "receipt"})
    assert "MAYWE_RECEIPT_KEYS_FILE" in failed.message
    request.receipt = False
    assert maywe.client.decision.MayContact(request).receipt == ""


def test_the_command_verifies_offline(receipts: Receipts, tmp_path: Path) -> None:
    """With the set of keys or a public PEM, however it is given; a forged one is status 1."""
    finished = run(
        *("check", "contact", "ivan", "--channel", "sms", "--purpose", "advertising"),
        *("--receipt", "--token-file", str(_written(tmp_path / "token", receipts.token))),
        address=receipts.guarded.maywe.address,
    )
    assert finished.status == 0, finished
    receipt = finished.out.split()[-1]
    key_set = _written(tmp_path / "keys.json", json.dumps(receipts.key_set()))
    file = _written(tmp_path / "receipt.txt", f"{receipt}\n")
    for given, standard_input in ((receipt, None), (str(file), None), ("-", receipt)):
        verified = run(
            "receipt", "verify", given, "--keys", str(key_set), standard_input=standard_input
        )
        assert verified.status == 0, verified
        assert "ALLOW" in verified.out
    as_json = run("receipt", "verify", receipt, "--keys", str(key_set), "--json").json
    assert as_json == receipts.verified(receipt)
    forged = run("receipt", "verify", receipt[:-4] + "AAAA", "--keys", str(key_set))
    assert forged.status == 1
    assert "changed" in one_line(forged)
    other = tmp_path / "other.pem"
    other.write_bytes(public_pem_of(Ed25519PrivateKey.generate()))
    stranger = run("receipt", "verify", receipt, "--keys", str(other))
    assert stranger.status == 1
    assert "none of the keys" in one_line(stranger)


def _written(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


def test_keys_that_can_not_be_used_are_told_apart(tmp_path: Path) -> None:
    """Of another kind, encrypted, public where a private one is needed; nothing secret is told."""
    key = Ed25519PrivateKey.generate()
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"word"),
    )
    file = tmp_path / "keys.pem"
    for data, words in (
        (b"", "no key in PEM"),
        (public_pem_of(key), "public"),
        (encrypted, "can not be read"),
        (pem_of(key).replace(b"M", b"!", 1), "can not be read"),
    ):
        put(file, data)
        with pytest.raises(ReceiptKeyError, match=words) as raised:
            ReceiptSigner(file)
        assert not any(line in str(raised.value) for line in data.decode().split("\n") if line)
    put(file, pem_of(key), public_pem_of(Ed25519PrivateKey.generate()))
    assert len(read_public_keys(file.read_bytes())) == 2


def test_keys_that_could_not_be_opened_once_are_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the file has not changed since: it may be the one without a key that was stolen."""
    monkeypatch.setattr(watched_file, "RETRY_SECONDS", 0.0)
    file = tmp_path / "keys.pem"
    put(file, pem_of(Ed25519PrivateKey.generate()))
    signer = ReceiptSigner(file)
    before = signer._keys.key_id  # noqa: SLF001 - what a receipt is signed by next
    put(file, pem_of(Ed25519PrivateKey.generate()))
    with nothing_can_be_opened():
        signer.refresh()
    assert signer._keys.key_id == before  # noqa: SLF001
    signer.refresh()
    assert signer._keys.key_id != before  # noqa: SLF001
