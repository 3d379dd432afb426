"""Access tokens: claims, and the rejection of invalid tokens."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Self
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.core.config import Environment
from app.core.exceptions import UnauthenticatedError
from app.jwt import access_tokens
from app.jwt.access_tokens import LEEWAY, REQUIRED_CLAIMS, TOKEN_TYPE, AccessTokens, InvalidToken
from app.jwt.keys import SigningKeys, generate, rotate, thumbprint
from app.jwt.settings import JwtSettings, new_secret_key

SETTINGS = JwtSettings(env=Environment.TEST, issuer="https://accounts.example.com", audience="todo")
USER, SESSION = uuid4(), uuid4()
ED25519_KEYS = generate()


@pytest.fixture(params=["HS256", "EdDSA"])
def tokens(request: pytest.FixtureRequest) -> AccessTokens:
    keys = SigningKeys.hs256(new_secret_key()) if request.param == "HS256" else SigningKeys.ed25519(ED25519_KEYS)
    return AccessTokens(SETTINGS, keys)


@pytest.fixture
def token(tokens: AccessTokens) -> str:
    return tokens.issue(USER, SESSION, {"write", "read"})


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def base64url(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def sign_manually(header: dict[str, Any], claims: dict[str, Any], secret: bytes) -> str:
    """Return a token that is signed manually, because libraries refuse to create some of them."""
    content = f"{base64url(json.dumps(header).encode())}.{base64url(json.dumps(claims).encode())}"
    return f"{content}.{base64url(hmac.digest(secret, content.encode(), hashlib.sha256))}"


def test_valid_token_identifies_its_user(tokens: AccessTokens, token: str) -> None:
    principal = tokens.verify(token)

    assert (principal.user_id, principal.session_id) == (USER, SESSION)
    assert principal.scopes == {"read", "write"}
    assert timedelta(minutes=14) < principal.expires_at - datetime.now(UTC) <= timedelta(minutes=15)


def test_cached_token_is_rejected_after_it_expires(
    tokens: AccessTokens, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class LaterDatetime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(minutes=SETTINGS.access_token_minutes) + LEEWAY

    assert tokens.verify(token) is tokens.verify(token), "the verified token must be cached"

    monkeypatch.setattr(access_tokens, "datetime", LaterDatetime)
    with pytest.raises(InvalidToken):
        tokens.verify(token)


def test_token_has_the_claims_of_rfc_9068(tokens: AccessTokens, token: str) -> None:
    header, claims = jwt.get_unverified_header(token), claims_of(token)

    expected = (
        {"alg": "HS256"} if tokens.keys.algorithm == "HS256" else {"alg": "EdDSA", "kid": thumbprint(ED25519_KEYS[0])}
    )
    assert header == {"typ": "at+jwt", **expected}
    assert claims | {"iat": 0, "nbf": 0, "exp": 0, "jti": ""} == {
        "iss": "https://accounts.example.com",
        "aud": "todo",
        "sub": str(USER),
        "sid": str(SESSION),
        "scope": "read write",
        "iat": 0,
        "nbf": 0,
        "exp": 0,
        "jti": "",
    }
    assert claims["jti"] != claims_of(tokens.issue(USER, SESSION, ()))["jti"]


def test_token_without_scopes_is_valid(tokens: AccessTokens) -> None:
    assert tokens.verify(tokens.issue(USER, SESSION, ())).scopes == frozenset()


def timestamp_in(seconds: float) -> float:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).timestamp()


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"exp": timestamp_in(-60)}, id="expired"),
        pytest.param({"nbf": timestamp_in(600)}, id="not valid yet"),
        pytest.param({"iat": timestamp_in(600)}, id="from the future"),
        pytest.param({"iss": "https://other.example.com"}, id="another issuer"),
        pytest.param({"aud": "billing"}, id="for another service"),
        pytest.param({"aud": ["todo", "billing"]}, id="for several services"),
        pytest.param({"sub": "admin"}, id="invalid user"),
        pytest.param({"sub": 1}, id="number as user"),
        pytest.param({"sid": "latest"}, id="invalid session"),
        pytest.param({"sid": ["latest"]}, id="list as session"),
        pytest.param({"exp": 10**20}, id="expiry out of range"),
        pytest.param({"exp": "soon"}, id="invalid expiry"),
        *(pytest.param({claim: None}, id=f"without {claim}") for claim in REQUIRED_CLAIMS),
    ],
)
def test_signed_token_with_invalid_claims_is_rejected(
    tokens: AccessTokens, token: str, changes: dict[str, Any]
) -> None:
    claims = {name: value for name, value in (claims_of(token) | changes).items() if value is not None}

    with pytest.raises(InvalidToken) as caught:
        tokens.verify(tokens.keys.sign(claims, TOKEN_TYPE))
    assert isinstance(caught.value, UnauthenticatedError)
    assert str(caught.value) == InvalidToken.message
    assert caught.value.__suppress_context__


def test_small_clock_differences_are_tolerated(tokens: AccessTokens, token: str) -> None:
    ahead = claims_of(token) | {"iat": timestamp_in(3), "nbf": timestamp_in(3)}

    assert tokens.verify(tokens.keys.sign(ahead, TOKEN_TYPE)).user_id == USER
    assert timedelta() < LEEWAY <= timedelta(seconds=5)


@pytest.mark.parametrize("token_type", ["JWT", "dpop+jwt", ""])
def test_token_of_another_type_is_rejected(tokens: AccessTokens, token: str, token_type: str) -> None:
    with pytest.raises(InvalidToken):
        tokens.verify(tokens.keys.sign(claims_of(token), token_type))


def test_unsigned_token_is_rejected(tokens: AccessTokens, token: str) -> None:
    header = jwt.get_unverified_header(token)
    for alg in ("none", "None", "NONE", ""):
        content = sign_manually(header | {"alg": alg}, claims_of(token), b"").rpartition(".")[0]
        for signature in ("", base64url(b"x")):
            with pytest.raises(InvalidToken):
                tokens.verify(f"{content}.{signature}")


def test_public_key_is_not_accepted_as_hmac_secret() -> None:
    tokens = AccessTokens(SETTINGS, SigningKeys.ed25519(ED25519_KEYS))
    token = tokens.issue(USER, SESSION, ["admin"])
    header, public = jwt.get_unverified_header(token) | {"alg": "HS256"}, ED25519_KEYS[0].public_key()
    [jwk, _] = tokens.keys.jwks()["keys"]
    for secret in (
        public.public_bytes(Encoding.Raw, PublicFormat.Raw),
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(jwk).encode(),
        jwk["x"].encode(),
    ):
        for extra in ({}, {"jwk": jwk}, {"jku": "https://evil.example"}, {"x5u": "https://evil.example"}):
            with pytest.raises(InvalidToken):
                tokens.verify(sign_manually(header | extra, claims_of(token), secret))


def test_key_embedded_in_the_token_is_ignored() -> None:
    tokens, own = AccessTokens(SETTINGS, SigningKeys.ed25519(ED25519_KEYS)), Ed25519PrivateKey.generate()
    claims = claims_of(tokens.issue(USER, SESSION, ["admin"]))
    [jwk] = SigningKeys.ed25519([own]).jwks()["keys"]

    for kid in (thumbprint(ED25519_KEYS[0]), thumbprint(own)):
        forgery = jwt.encode(claims, own, "EdDSA", {"typ": TOKEN_TYPE, "kid": kid, "jwk": jwk})
        with pytest.raises(InvalidToken):
            tokens.verify(forgery)


@pytest.mark.parametrize("kid", ["unknown", "../../dev/null", "' OR 1=1 --", "", None, 1, ["a"], {}])
def test_unknown_key_id_is_rejected(tokens: AccessTokens, token: str, kid: Any) -> None:
    header = jwt.get_unverified_header(token) | {"kid": kid}
    content, signature = sign_manually(header, claims_of(token), b"").rpartition(".")[0], token.rpartition(".")[2]
    with pytest.raises(InvalidToken):
        tokens.verify(f"{content}.{signature}")


def test_key_id_is_required_with_several_keys() -> None:
    tokens = AccessTokens(SETTINGS, SigningKeys.ed25519(ED25519_KEYS))
    claims = claims_of(tokens.issue(USER, SESSION, ()))

    with pytest.raises(InvalidToken):
        tokens.verify(jwt.encode(claims, ED25519_KEYS[0], "EdDSA", {"typ": TOKEN_TYPE}))


def test_modified_token_is_rejected(tokens: AccessTokens, token: str) -> None:
    header, payload, signature = token.split(".")
    more = base64url(json.dumps(claims_of(token) | {"scope": "read write admin"}).encode())
    other = "A" if signature[0] != "A" else "B"
    for changed in (
        f"{header}.{more}.{signature}",
        f"{header}.{payload}.{other}{signature[1:]}",
        f"{token}.",
    ):
        with pytest.raises(InvalidToken):
            tokens.verify(changed)


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a.b.c", "é", "\ud800", "eyJhbGciOiJub25lIn0", "[]", "null", "9" * 10_000]
)
def test_malformed_token_is_rejected(tokens: AccessTokens, text: str) -> None:
    with pytest.raises(InvalidToken):
        tokens.verify(text)


def test_payload_that_is_not_an_object_is_rejected(tokens: AccessTokens, token: str) -> None:
    [key] = list(tokens.keys._keys.values())[:1]
    header = jwt.get_unverified_header(token)
    for payload in (b"[]", b"1", b"{", b"[" * 100_000):
        with pytest.raises(InvalidToken):
            tokens.verify(jwt.api_jws.encode(payload, key, tokens.keys.algorithm, header))


def test_token_of_another_service_is_rejected(tokens: AccessTokens) -> None:
    other = AccessTokens(SETTINGS, SigningKeys.hs256(new_secret_key()))
    with pytest.raises(InvalidToken):
        tokens.verify(other.issue(USER, SESSION, ["admin"]))


def test_tokens_stay_valid_after_a_rotation() -> None:
    first = generate()
    second, third = rotate(first), rotate(rotate(first))
    old, new, newest = (AccessTokens(SETTINGS, SigningKeys.ed25519(keys)) for keys in (first, second, third))
    token = old.issue(USER, SESSION, ())

    assert new.verify(token).user_id == USER
    assert old.verify(new.issue(USER, SESSION, ())).user_id == USER  # the process has not been restarted yet
    with pytest.raises(InvalidToken):
        newest.verify(token)
