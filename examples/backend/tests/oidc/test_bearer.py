"""Access tokens of a provider, and the rejection of invalid ones."""

import asyncio
import base64
import json
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from app.oidc.bearer import read_access_token
from app.oidc.cache import RETRY_SECONDS
from app.oidc.jwks import CACHE_SECONDS, COOLDOWN_SECONDS, InvalidToken
from app.oidc.provider import ProviderUnavailable
from app.oidc.providers import Providers
from tests.identity_provider import IdentityProvider, Person, from_now, private_key
from tests.oidc.conftest import providers_for

ADA = Person("ada", "ada@example.com")


def claims_of(provider: IdentityProvider) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(provider.access_token(ADA), options={"verify_signature": False})
    return claims


async def assert_rejected(providers: Providers, token: str) -> None:
    with pytest.raises(InvalidToken):
        await read_access_token(providers, token)


async def test_valid_token_identifies_its_user(providers: Providers, provider: IdentityProvider) -> None:
    [ends] = from_now({"exp": 60}).values()
    token = await read_access_token(providers, provider.access_token(ADA, scope="openid read", exp=ends))

    assert (token.claims["sub"], token.scopes) == ("ada", {"openid", "read"})
    assert token.expires_at == datetime.fromtimestamp(ends, UTC)


@pytest.mark.parametrize(
    "scope_claims", [{"scope": ["openid", "read"]}, {"scp": "openid read"}, {"scp": ["openid", "read"]}], ids=str
)
async def test_scopes_are_read_from_all_known_claims(
    providers: Providers, provider: IdentityProvider, scope_claims: dict[str, object]
) -> None:
    token = await read_access_token(providers, provider.access_token(ADA, **scope_claims))

    assert token.scopes == {"openid", "read"}


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://another-api.example.com"},
        {"aud": None},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"sub": None},
        {"sub": 7},
        {"exp": None},
        {"exp": "soon"},
        {"exp": -60},
        {"nbf": 60},
        {"iat": 60},
    ],
    ids=str,
)
async def test_token_with_invalid_claims_is_rejected(
    providers: Providers, provider: IdentityProvider, changes: dict[str, Any]
) -> None:
    await assert_rejected(providers, provider.access_token(ADA, **from_now(changes)))


async def test_small_clock_differences_are_tolerated(providers: Providers, provider: IdentityProvider) -> None:
    for changes in ({"exp": -5}, {"nbf": 5}, {"iat": 5}):
        await read_access_token(providers, provider.access_token(ADA, **from_now(changes)))


@pytest.mark.parametrize(
    "text", ["", "a", "a.b", "a.b.c", "....", "\x00", "ä.ö.ü", "bnVsbA.bnVsbA.bnVsbA", "W10.W10.W10"]
)
async def test_malformed_token_is_rejected(providers: Providers, text: str) -> None:
    await assert_rejected(providers, text)


def base64url(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", None])
async def test_unsigned_token_is_rejected(
    providers: Providers, provider: IdentityProvider, algorithm: str | None
) -> None:
    header = {"alg": algorithm, "kid": "key-0"}

    for signature in ("", "AAAA"):
        await assert_rejected(providers, f"{base64url(header)}.{base64url(claims_of(provider))}.{signature}")


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_public_key_of_a_provider_is_not_accepted_as_hmac_secret(
    providers: Providers, provider: IdentityProvider, algorithm: str
) -> None:
    public = private_key(0).public_key()
    secrets = [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(provider.public_jwk()).encode(),
    ]
    signing = jwt.get_algorithm_by_name(algorithm)
    content = f"{base64url({'alg': algorithm, 'kid': 'key-0'})}.{base64url(claims_of(provider))}"

    for secret in secrets:
        signature = base64.urlsafe_b64encode(signing.sign(content.encode(), secret)).decode().rstrip("=")
        await assert_rejected(providers, f"{content}.{signature}")


async def test_symmetric_key_in_the_key_set_is_ignored(providers: Providers, provider: IdentityProvider) -> None:
    secret = b"x" * 32
    provider.jwk = {"kty": "oct", "kid": "key-0", "alg": "HS256", "k": base64.urlsafe_b64encode(secret).decode()}

    await assert_rejected(providers, jwt.encode(claims_of(provider), secret, "HS256", {"kid": "key-0"}))


async def test_algorithm_must_match_the_key(providers: Providers, provider: IdentityProvider) -> None:
    await assert_rejected(providers, jwt.encode(claims_of(provider), private_key(0), "PS256", {"kid": "key-0"}))
    await assert_rejected(providers, jwt.encode(claims_of(provider), private_key(0), "RS384", {"kid": "key-0"}))


async def test_token_signed_with_another_key_is_rejected(providers: Providers, provider: IdentityProvider) -> None:
    await assert_rejected(providers, jwt.encode(claims_of(provider), private_key(9), "RS256", {"kid": "key-0"}))
    await assert_rejected(providers, provider.access_token(ADA)[:-8] + "AAAAAAAA")


async def test_key_urls_in_the_token_are_ignored(providers: Providers, provider: IdentityProvider) -> None:
    jwk = RSAAlgorithm.to_jwk(private_key(9).public_key(), as_dict=True)
    headers = {"kid": "key-0", "jwk": jwk, "jku": "https://evil.example/jwks", "x5u": "https://evil.example/x"}

    await assert_rejected(providers, jwt.encode(claims_of(provider), private_key(9), "RS256", headers))
    assert set(provider.requests) == {"discovery", "jwks"}


async def test_short_key_is_rejected(providers: Providers, provider: IdentityProvider) -> None:
    short = generate_rsa_key(public_exponent=65537, key_size=1024)  # noqa: S505
    provider.jwk = {**RSAAlgorithm.to_jwk(short.public_key(), as_dict=True), "kid": "key-0"}
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = jwt.encode(claims_of(provider), short, "RS256", {"kid": "key-0"})

    await assert_rejected(providers, token)


async def test_elliptic_curve_keys_are_supported(providers: Providers, provider: IdentityProvider) -> None:
    key = generate_ec_key(SECP256R1())
    provider.jwk = {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "curve"}

    await read_access_token(providers, jwt.encode(claims_of(provider), key, "ES256", {"kid": "curve"}))


async def test_id_token_is_rejected_as_access_token(providers: Providers, provider: IdentityProvider) -> None:
    await assert_rejected(providers, provider.id_token(ADA, nonce="any"))


async def test_provider_without_audience_accepts_no_access_tokens(provider: IdentityProvider) -> None:
    await assert_rejected(providers_for(provider, audience=None), provider.access_token(ADA))


@pytest.mark.parametrize(
    ("claims", "good"),
    [
        ({"azp": "robot"}, True),
        ({"client_id": "robot"}, True),
        ({"azp": "app"}, False),
        ({"azp": "app", "client_id": "robot"}, False),
        ({"client_id": None}, False),
    ],
)
async def test_accepted_clients_can_be_restricted(
    provider: IdentityProvider, claims: dict[str, str | None], good: bool
) -> None:
    providers, token = providers_for(provider, clients=["robot"]), provider.access_token(ADA, **claims)

    await (read_access_token(providers, token) if good else assert_rejected(providers, token))


# ── keys ──


async def test_keys_are_fetched_once(providers: Providers, provider: IdentityProvider) -> None:
    token = provider.access_token(ADA)
    await asyncio.gather(*(read_access_token(providers, token) for _ in range(100)))
    for _ in range(101):
        await read_access_token(providers, token)

    assert provider.requests == ["discovery", "jwks"]


async def test_many_unknown_key_ids_cause_one_fetch(
    providers: Providers, provider: IdentityProvider, clock: list[float]
) -> None:
    await read_access_token(providers, provider.access_token(ADA))
    clock[0] = COOLDOWN_SECONDS + 1
    forged = [provider.sign(claims_of(provider), kid=f"forged-{number}") for number in range(100)]
    await asyncio.gather(*(assert_rejected(providers, token) for token in forged))
    for token in forged:
        await assert_rejected(providers, token)
    await read_access_token(providers, provider.access_token(ADA))

    assert provider.requests == ["discovery", "jwks", "jwks"]


async def test_new_key_is_fetched(providers: Providers, provider: IdentityProvider, clock: list[float]) -> None:
    old = provider.access_token(ADA)
    await read_access_token(providers, old)
    provider.key = 1
    new = provider.access_token(ADA)

    await assert_rejected(providers, new)  # the keys were fetched recently
    clock[0] = COOLDOWN_SECONDS + 1
    await read_access_token(providers, new)
    await assert_rejected(providers, old)


async def test_removed_key_is_rejected_after_the_cache_expires(
    providers: Providers, provider: IdentityProvider, clock: list[float]
) -> None:
    old = provider.access_token(ADA)
    await read_access_token(providers, old)
    provider.key = 1

    clock[0] = CACHE_SECONDS
    await read_access_token(providers, old)
    clock[0] = CACHE_SECONDS + 1
    await assert_rejected(providers, old)


async def test_key_id_is_required(providers: Providers, provider: IdentityProvider) -> None:
    await assert_rejected(providers, jwt.encode(claims_of(provider), private_key(0), "RS256"))
    provider.jwk = {name: value for name, value in provider.public_jwk().items() if name != "kid"}
    await assert_rejected(providers_for(provider), jwt.encode(claims_of(provider), private_key(0), "RS256"))


@pytest.mark.parametrize("jwk", [{}, {"kty": "unknown"}])
async def test_provider_without_usable_keys_is_unavailable(
    providers: Providers, provider: IdentityProvider, jwk: dict[str, Any]
) -> None:
    provider.jwk = jwk

    with pytest.raises(ProviderUnavailable):
        await read_access_token(providers, provider.sign(claims_of(provider)))


async def test_unavailable_provider_recovers(
    providers: Providers, provider: IdentityProvider, clock: list[float]
) -> None:
    token = provider.access_token(ADA)
    provider.unavailable = True
    for _ in range(100):
        with pytest.raises(ProviderUnavailable):
            await read_access_token(providers, token)
    assert provider.requests == []  # no request succeeded; tests/oidc/test_cache.py counts the attempts

    provider.unavailable = False
    clock[0] = RETRY_SECONDS + 1
    await read_access_token(providers, token)
