"""Validation of the provider settings."""

import json
from typing import Any

import pytest

from app.core.config import ConfigurationError, Environment, load
from app.oidc.settings import OidcSettings

ACME = {"name": "acme", "issuer": "https://id.example.com", "client_id": "app", "client_secret": "hunter2"}
OTHER = {"name": "other", "issuer": "https://id.example.org", "client_id": "app", "client_secret": "hunter2"}


@pytest.fixture(params=list(Environment))
def env(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.chdir("/")
    monkeypatch.setenv("ENV", request.param)
    env: Environment = request.param
    return env


def error_message(monkeypatch: pytest.MonkeyPatch, value: Any) -> str:
    monkeypatch.setenv("OIDC_PROVIDERS", value if isinstance(value, str) else json.dumps(value))
    with pytest.raises(ConfigurationError) as caught:
        load(OidcSettings)
    assert "hunter2" not in str(caught.value)
    return str(caught.value).splitlines()[1].strip()


def test_providers_are_read_from_json(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OIDC_PROVIDERS", json.dumps([ACME, OTHER | {"label": "Other", "clients": ["robot"]}]))
    acme, other = load(OidcSettings).providers

    assert (acme.name, acme.scopes, acme.audience) == ("acme", "openid email profile", None)
    assert acme.client_secret.get_secret_value() == "hunter2"
    assert (other.label, other.clients) == ("Other", ("robot",))


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OIDC_PROVIDERS", json.dumps([ACME]))

    assert "hunter2" not in repr(load(OidcSettings))


def test_development_has_a_default_provider(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    if env is Environment.PROD:
        assert error_message(monkeypatch, "[]").startswith("OIDC_PROVIDERS: must name at least one provider. Example: ")
        monkeypatch.delenv("OIDC_PROVIDERS")
        with pytest.raises(ConfigurationError, match="OIDC_PROVIDERS: must name at least one"):
            load(OidcSettings)
    else:
        [provider] = load(OidcSettings).providers
        assert (provider.name, provider.issuer) == ("dev", "http://127.0.0.1:9000")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("hunter2", "OIDC_PROVIDERS: is not JSON. Example: "),
        ({}, "OIDC_PROVIDERS: Input should be a valid tuple"),
        (["hunter2"], "OIDC_PROVIDERS: provider 1: Input should be a valid dict"),
        ([ACME, OTHER | {"name": "Not Good"}], "OIDC_PROVIDERS: provider 2: name: String should match"),
        ([ACME | {"scopes": "email"}], "OIDC_PROVIDERS: provider 1: scopes: String should match"),
        ([ACME | {"client_secret": ""}], "OIDC_PROVIDERS: provider 1: client_secret: Value should have at least"),
        ([ACME | {"clients": [7]}], "OIDC_PROVIDERS: provider 1: clients.0: Input should be a valid string"),
        ([ACME | {"secret": "hunter2"}], "OIDC_PROVIDERS: provider 1: secret: Extra inputs are not permitted"),
        ([{"name": "acme"}], "OIDC_PROVIDERS: provider 1: issuer: Field required; provider 1: client_id: Field"),
        ([ACME | {"audience": "app"}], "OIDC_PROVIDERS: provider 1: audience: must not be the client_id"),
        ([ACME, OTHER | {"name": "acme"}], "OIDC_PROVIDERS: two providers have the same name"),
        ([ACME, OTHER | {"issuer": ACME["issuer"]}], "OIDC_PROVIDERS: two providers have the same issuer"),
    ],
    ids=lambda value: None if isinstance(value, str) else "value",
)
def test_invalid_field_is_named_without_its_value(
    env: Environment, monkeypatch: pytest.MonkeyPatch, value: Any, expected: str
) -> None:
    assert error_message(monkeypatch, value).startswith(expected)


@pytest.mark.parametrize(
    "issuer",
    [
        *("http://id.example.com", "id.example.com", "ftp://localhost", "https://", "https://[", "https://a@b.example"),
        *("https://id.example.com?a=b", "https://id.example.com#a", "http://localhost.example.com"),
    ],
)
def test_issuer_must_be_an_https_url(env: Environment, monkeypatch: pytest.MonkeyPatch, issuer: str) -> None:
    message = error_message(monkeypatch, [ACME, OTHER | {"issuer": issuer}])

    assert message == "OIDC_PROVIDERS: provider 2: issuer: must be an https URL"


@pytest.mark.parametrize("issuer", ["http://127.0.0.1:9000", "http://localhost:9000/realm", "http://[::1]:9000"])
def test_localhost_issuer_is_allowed_outside_production(
    env: Environment, monkeypatch: pytest.MonkeyPatch, issuer: str
) -> None:
    if env is Environment.PROD:
        error_message(monkeypatch, [ACME | {"issuer": issuer}])
    else:
        monkeypatch.setenv("OIDC_PROVIDERS", json.dumps([ACME | {"issuer": issuer}]))
        assert load(OidcSettings).providers[0].issuer == issuer


def test_public_url_must_be_https(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OIDC_PUBLIC_URL", "http://api.example.com")

    assert error_message(monkeypatch, [ACME]) == "OIDC_PUBLIC_URL: must be an https URL"
