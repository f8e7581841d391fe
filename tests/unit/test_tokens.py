"""Tokens and who they belong to: forged, foreign, ended, and the file of callers."""

import base64
import hashlib
import hmac
import json
from pathlib import Path

import jwt
import pytest

from decision.errors import OverloadedError, UnavailableError, UnidentifiedError
from service.access.callers_file import CallersFileError, read_callers
from service.access.keys import KeySet
from service.access.limits import Limiter
from service.access.roles import (
    RESERVED_NAMES,
    Caller,
    CallerLimits,
    CallerRole,
    Callers,
    RoleKind,
    read_role,
)
from service.access.tokens import TokenRules, Tokens
from service.setting_readers import TOKEN_ALGORITHMS
from tests.authority import AUDIENCE, ISSUER, TokenIssuer

NOBODY: Callers = {}


def _nobody() -> Callers:
    """Give a file of callers that names nobody."""
    return NOBODY


RULES = TokenRules(ISSUER, AUDIENCE, ("ES256", "EdDSA", "RS256"), 5.0, "roles")


@pytest.fixture
def issuer(tmp_path: Path) -> TokenIssuer:
    """An issuer with one key."""
    return TokenIssuer(tmp_path / "keys.json")


def _tokens(issuer: TokenIssuer, rules: TokenRules = RULES, now: float | None = None) -> Tokens:
    keys = KeySet(str(issuer.file), RULES.algorithms)
    if now is None:
        return Tokens(rules, keys, _nobody)
    return Tokens(rules, keys, _nobody, lambda: now)


def _part(content: object) -> str:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_a_token_gives_name_and_roles(issuer: TokenIssuer) -> None:
    """Roles of other systems are left aside; a text with spaces is a list too."""
    tokens = _tokens(issuer)
    token = issuer.token(["writer", "admin of something", "partner:acme", "partner:"], "crm")
    caller = tokens.caller_of(f"Bearer {token}")
    assert caller.name == "crm"
    assert caller.kinds == {RoleKind.WRITER, RoleKind.PARTNER}
    assert caller.partners == {"acme"}
    as_text = issuer.token("writer auditor", "crm")
    assert tokens.caller_of(f"Bearer {as_text}").kinds == {RoleKind.WRITER, RoleKind.AUDITOR}


def test_a_token_is_verified_once(issuer: TokenIssuer) -> None:
    """What is kept by its text is the very same caller."""
    tokens = _tokens(issuer)
    header = f"Bearer {issuer.token(['writer'])}"
    assert tokens.caller_of(header) is tokens.caller_of(header)


def test_what_is_kept_ends_with_the_token(issuer: TokenIssuer) -> None:
    """By the clock of now, not of when it was verified."""
    now = [0.0]
    tokens = Tokens(RULES, KeySet(str(issuer.file), RULES.algorithms), _nobody, lambda: now[0])
    header = f"Bearer {issuer.token(['writer'], exp=2)}"
    with pytest.raises(UnidentifiedError, match="expired"):
        tokens.caller_of(header)
    fresh = f"Bearer {issuer.token(['writer'])}"
    kept = tokens.caller_of(fresh)
    now[0] = 4e9
    # Past its end it is verified anew, by PyJWT's own clock; what was kept does not count.
    assert tokens.caller_of(fresh) is not kept


@pytest.mark.parametrize(
    "subject",
    [
        "",
        " crm",
        "c\nrm",
        "c\u2028rm",
        "c\u0085rm",
        "crm\ud800",
        "x" * 129,
        *sorted(RESERVED_NAMES),
    ],
)
def test_a_subject_that_is_no_name_is_nobodys(issuer: TokenIssuer, subject: str) -> None:
    """It is recorded and logged: on one line, in characters that are some, and for nobody else."""
    with pytest.raises(UnidentifiedError):
        _tokens(issuer).caller_of(f"Bearer {issuer.token(['writer'], subject)}")


def test_the_leeway_is_given_and_no_more(issuer: TokenIssuer) -> None:
    """A token that ended three seconds ago holds with five, and not with none."""
    import time  # noqa: PLC0415 - for this test alone

    header = f"Bearer {issuer.token(['writer'], exp=int(time.time()) - 3)}"
    _tokens(issuer).caller_of(header)
    with pytest.raises(UnidentifiedError, match="expired"):
        _tokens(issuer, TokenRules(ISSUER, AUDIENCE, ("ES256",), 0.0, "roles")).caller_of(header)


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "ES384"])
def test_an_algorithm_of_the_callers_choosing_is_refused(
    issuer: TokenIssuer, algorithm: str
) -> None:
    """Neither unsigned, nor signed with the public key as if it were a secret."""
    genuine = issuer.token(["writer"])
    _, claims, signature = genuine.split(".")
    head = _part({"alg": algorithm, "typ": "JWT", "kid": issuer.newest})
    if algorithm == "HS256":
        key = issuer.file.read_bytes()
        signed = hmac.new(key, f"{head}.{claims}".encode(), hashlib.sha256).digest()
        signature = _part(signed)
    elif algorithm.lower() == "none":
        signature = ""
    with pytest.raises(UnidentifiedError):
        _tokens(issuer).caller_of(f"Bearer {head}.{claims}.{signature}")


def test_claims_that_were_altered_are_refused(issuer: TokenIssuer) -> None:
    """The signature is of the whole token."""
    head, _, signature = issuer.token(["auditor"]).split(".")
    _, claims, _ = issuer.token(["writer"]).split(".")
    with pytest.raises(UnidentifiedError, match="signature"):
        _tokens(issuer).caller_of(f"Bearer {head}.{claims}.{signature}")


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "bearer x", "Basic eA==", "Bearer a.b.c", "Bearer " + "a" * 9000],
)
def test_what_is_no_token_is_refused(issuer: TokenIssuer, header: str) -> None:
    """Also when it is very long."""
    with pytest.raises(UnidentifiedError):
        _tokens(issuer).caller_of(header)


def test_an_algorithm_that_is_not_on_the_list_is_refused(issuer: TokenIssuer) -> None:
    """Although the key would verify it."""
    rules = TokenRules(ISSUER, AUDIENCE, ("RS256",), 5.0, "roles")
    with pytest.raises(UnidentifiedError):
        _tokens(issuer, rules).caller_of(f"Bearer {issuer.token(['writer'])}")


def test_only_signatures_by_a_private_key_can_be_allowed() -> None:
    """With a shared one whoever verifies could sign."""
    symmetric = {"none", "HS256", "HS384", "HS512"}
    assert set(TOKEN_ALGORITHMS) < set(jwt.algorithms.get_default_algorithms()) - symmetric


def test_a_url_that_does_not_answer_leaves_the_caller_to_try_again() -> None:
    """Without keys nobody can tell a good token from a bad one: that is no refusal."""
    keys = KeySet("http://127.0.0.1:9/keys", RULES.algorithms)
    token = f"{_part({'alg': 'ES256', 'kid': 'x'})}.{_part({})}.{_part(b'x')}"
    with pytest.raises(UnavailableError):
        Tokens(RULES, keys, _nobody).caller_of(f"Bearer {token}")


@pytest.mark.parametrize(
    "text",
    ["", "nobody", "writer:x", "partner", "partner:", "customer:", "customer:a\nb", "Writer"],
)
def test_a_faulty_role_is_refused(text: str) -> None:
    """Each says what roles there are, or what is wrong with the name."""
    with pytest.raises(ValueError, match=r"."):
        read_role(text)


def test_a_role_may_name_anybody_whose_id_has_a_colon() -> None:
    """The first colon parts kind and name."""
    assert read_role("customer:a:b") == CallerRole(RoleKind.CUSTOMER, "a:b")


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("{name: a, roles: [writer]}", "exactly one"),
        ("{name: a, roles: [writer], certificate: {uri: u, dns: d}}", "exactly one"),
        ("{name: a, roles: [writer], certificate: {uri: u}, token: {subject: s}}", "exactly one"),
        ("{name: a, roles: [writer], certificate: {email: e}}", "exactly one"),
        ("{name: a, roles: [], certificate: {uri: u}}", "roles"),
        ("{name: a, roles: [boss], certificate: {uri: u}}", "'boss' is no role"),
        ("{roles: [writer], certificate: {uri: u}}", "name"),
        ("{name: customer, roles: [writer], certificate: {uri: u}}", "name"),
        ("{name: a, roles: [writer], certificate: {uri: u}, streams: -1}", "streams"),
        ("{name: a, role: [writer], certificate: {uri: u}}", "role: no such field"),
        ("5", "object"),
    ],
)
def test_a_faulty_file_of_callers_is_refused_with_the_place(
    tmp_path: Path, entry: str, problem: str
) -> None:
    """And with what is wrong."""
    file = tmp_path / "callers.yaml"
    file.write_text(f"callers:\n  - {entry}\n")
    with pytest.raises(CallersFileError, match=rf"callers\[0\]: .*{problem}"):
        read_callers(file)


def test_nobody_stands_twice_in_the_file_of_callers(tmp_path: Path) -> None:
    """Which entry counts would depend on their order."""
    file = tmp_path / "callers.yaml"
    entry = "{name: %s, roles: [writer], certificate: {uri: u}}"
    file.write_text(f"callers: [{entry % 'a'}, {entry % 'b'}]")
    with pytest.raises(CallersFileError, match="twice"):
        read_callers(file)


def test_a_seconds_calls_may_come_at_once_and_no_more() -> None:
    """And a second later as many again; evenly spaced they are never refused."""
    now = [100.0]
    limiter = Limiter(CallerLimits(calls_per_second=5), lambda: now[0])
    caller = Caller("a", [])
    for _ in range(2):
        for _ in range(5):
            limiter.take_call(caller)
        with pytest.raises(OverloadedError):
            limiter.take_call(caller)
        now[0] += 1.0
    for _ in range(50):
        now[0] += 0.2
        limiter.take_call(caller)


def test_each_caller_has_limits_of_its_own() -> None:
    """What one takes, another does not lack; and its own limits go before the others."""
    limiter = Limiter(CallerLimits(calls_per_second=1, streams=1), lambda: 0.0)
    limiter.take_call(Caller("a", []))
    limiter.take_call(Caller("b", []))
    with pytest.raises(OverloadedError):
        limiter.take_call(Caller("a", []))
    unlimited = Caller("c", [], CallerLimits())
    for _ in range(10):
        limiter.take_call(unlimited)
    close = limiter.open_stream(Caller("a", []))
    with pytest.raises(OverloadedError):
        limiter.open_stream(Caller("a", []))
    close()
    limiter.open_stream(Caller("a", []))
