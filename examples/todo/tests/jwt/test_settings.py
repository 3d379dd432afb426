"""JWT settings: keys, placeholders and ranges."""

from pathlib import Path

import pytest

from app.core.config import ConfigurationError, Environment, load
from app.jwt.keys import dump_keys, dump_public_keys, generate
from app.jwt.settings import JwtSettings, development_secret, new_secret_key


def error_message(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load(JwtSettings)
    return str(caught.value)


@pytest.fixture(autouse=True)
def _without_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_default_secret_outside_production_is_random() -> None:
    keys = load(JwtSettings).signing_keys()

    assert keys._keys == {None: development_secret().encode()}
    assert development_secret() == development_secret() != new_secret_key()


def test_production_requires_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "JWT_SECRET_KEY: must be set, or JWT_KEYS_FILE. To create one: app keys secret" in error_message(
        monkeypatch, ENV="prod"
    )


def test_production_accepts_a_generated_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENV", "prod")
    monkeypatch.setenv("JWT_SECRET_KEY", new_secret_key())

    assert load(JwtSettings).signing_keys().algorithm == "HS256"


def test_production_accepts_a_key_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(dump_keys(generate()), "utf-8")
    monkeypatch.setenv("ENV", "prod")
    monkeypatch.setenv("JWT_KEYS_FILE", "keys.json")

    assert load(JwtSettings).signing_keys().algorithm == "EdDSA"


def test_production_accepts_a_public_key_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(dump_public_keys(generate()), "utf-8")
    monkeypatch.setenv("ENV", "prod")
    monkeypatch.setenv("JWT_PUBLIC_KEYS_FILE", "keys.json")

    assert load(JwtSettings).signing_keys().algorithm == "EdDSA"


def test_private_key_file_is_rejected_as_public_key_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(dump_keys(generate()), "utf-8")
    message = error_message(monkeypatch, JWT_PUBLIC_KEYS_FILE="keys.json")

    assert "JWT_PUBLIC_KEYS_FILE: keys.json must contain only public Ed25519 keys" in message


@pytest.mark.parametrize("env", list(Environment))
def test_short_secret_is_rejected_in_all_environments(monkeypatch: pytest.MonkeyPatch, env: Environment) -> None:
    short = new_secret_key()[:31]
    message = error_message(monkeypatch, ENV=env, JWT_SECRET_KEY=short)

    assert "JWT_SECRET_KEY: must have 32 bytes or more" in message
    assert short not in message


@pytest.mark.parametrize(
    "secret",
    [
        "x" * 64,
        "abcdefghi" * 8,
        "change-me-" * 4,
        "please CHANGE this value before you deploy it",
        "a-string-secret-at-least-256-bits-long",
        "replace-me-with-a-long-random-string",
        "insert-key-here-insert-key-here-insert",
        "todo-todo-fill-in-before-launch!",
        "0123456789abcdef0123456789abcdef",
        "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    ],
)
def test_production_rejects_a_placeholder_without_showing_it(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setenv("JWT_SECRET_KEY", secret)
    load(JwtSettings)

    message = error_message(monkeypatch, ENV="prod")
    assert "JWT_SECRET_KEY: is a placeholder or easy to guess" in message
    assert secret not in message


def test_two_kinds_of_keys_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    message = error_message(monkeypatch, JWT_SECRET_KEY=new_secret_key(), JWT_KEYS_FILE="keys.json")
    assert "JWT_SECRET_KEY: must not be set together with JWT_KEYS_FILE" in message

    monkeypatch.delenv("JWT_SECRET_KEY")
    message = error_message(monkeypatch, JWT_PUBLIC_KEYS_FILE="public.json")
    assert "JWT_KEYS_FILE: must not be set together with JWT_PUBLIC_KEYS_FILE" in message


def test_empty_value_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("JWT_KEYS_FILE", "JWT_PUBLIC_KEYS_FILE"):
        monkeypatch.setenv(variable, "")
    monkeypatch.setenv("JWT_SECRET_KEY", secret := new_secret_key())
    assert load(JwtSettings).signing_keys()._keys == {None: secret.encode()}

    assert "JWT_SECRET_KEY: must be set, or JWT_KEYS_FILE" in error_message(monkeypatch, ENV="prod", JWT_SECRET_KEY="")


def test_invalid_key_file_is_reported_at_startup(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text('{"keys": ["hunter2"]}', "utf-8")
    message = error_message(monkeypatch, JWT_KEYS_FILE="keys.json")

    assert "JWT_KEYS_FILE: keys.json is not a JWK set" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("JWT_ACCESS_TOKEN_MINUTES", "61"),
        ("JWT_ACCESS_TOKEN_MINUTES", "0"),
        ("JWT_PASSWORD_MIN_LENGTH", "7"),
        ("JWT_HASHING_THREADS", "0"),
        ("JWT_REFRESH_GRACE_SECONDS", "-1"),
        ("JWT_ISSUER", ""),
    ],
)
def test_values_out_of_range_are_rejected(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    assert variable in error_message(monkeypatch, **{variable: value})


def test_settings_do_not_show_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = new_secret_key()
    monkeypatch.setenv("JWT_SECRET_KEY", secret)
    settings = load(JwtSettings)

    assert secret not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
