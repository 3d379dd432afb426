"""Validation of the core settings."""

import re
from pathlib import Path

import pytest

from app.core.config import ConfigurationError, Environment, Settings, load, load_all
from tests.conftest import settings_variables


def test_env_example_lists_exactly_all_variables(project: Path) -> None:
    example = (project / ".env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"^(?:# )?([A-Z_]+)=", example, re.MULTILINE))
    of_compose = set(re.findall(r"\$\{([A-Z_]+)", (project / "docker-compose.yml").read_text(encoding="utf-8")))

    assert named == settings_variables() | of_compose


def test_default_environment_is_production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENV")
    monkeypatch.chdir("/")

    assert load(Settings).env is Environment.PROD


def test_env_file_is_read_except_in_tests(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("PORT=9000\n", encoding="utf-8")

    assert load(Settings).port == 8000
    monkeypatch.setenv("ENV", "dev")
    assert load(Settings).port == 9000


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("PORT", "eighty", "PORT: Input should be a valid integer"),
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL: String should match"),
        ("ENV", "staging", "ENV: Input should be 'dev', 'test' or 'prod'"),
        (
            "FORWARDED_ALLOW_IPS",
            "nginx",
            "FORWARDED_ALLOW_IPS: must be IP addresses and networks, comma-separated, or *. E",
        ),
        ("FORWARDED_ALLOW_IPS", "10.0.0.1/8", "FORWARDED_ALLOW_IPS: must be IP addresses and networks"),
        (
            "CORS_ORIGINS",
            "app.example.com",
            "CORS_ORIGINS: must be origins without a path, comma-separated. Example: h",
        ),
        ("CORS_ORIGINS", "https://app.example.com/start", "CORS_ORIGINS: must be origins without a path"),
        ("CORS_ALLOW_HEADERS", "X-A;X-B", "CORS_ALLOW_HEADERS: must be names of headers, comma-separated. Example: X-"),
        ("CORS_EXPOSE_HEADERS", "X A", "CORS_EXPOSE_HEADERS: must be names of headers, comma-separated. Example: X-"),
        ("MAX_BODY_BYTES", "0", "MAX_BODY_BYTES: Input should be greater than or equal to 1"),
    ],
)
def test_invalid_value_is_reported_by_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigurationError) as caught:
        load(Settings)
    assert said in str(caught.value)
    assert ".env.example" in str(caught.value)


@pytest.mark.parametrize(("variable", "value"), [("DEBUG", "true"), ("CORS_ORIGINS", "https://a.example, *")])
def test_production_rejects_unsafe_settings(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    load(Settings)

    monkeypatch.setenv("ENV", "prod")
    with pytest.raises(ConfigurationError, match=variable):
        load(Settings)


def test_all_unsafe_settings_are_reported_together(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in {"ENV": "prod", "DEBUG": "true", "CORS_ORIGINS": "*"}.items():
        monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigurationError, match=r"\n  DEBUG: .*\n  CORS_ORIGINS: "):
        load(Settings)


def test_invalid_settings_of_all_classes_are_reported_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "loud")
    monkeypatch.setenv("DATABASE_URL", "mysql://localhost/app")
    with pytest.raises(ConfigurationError) as error:
        load_all()

    lines = str(error.value).splitlines()
    assert [line.partition(":")[0] for line in lines if line.startswith("  ")] == ["  LOG_LEVEL", "  DATABASE_URL"]


@pytest.mark.parametrize("value", ["*", "127.0.0.1, 10.0.0.0/8,", "::1,fd00::/8"])
def test_proxies_are_addresses_and_networks(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", value)

    assert load(Settings).forwarded_allow_ips == value


def test_origins_are_written_as_browsers_send_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://App.example.com/,http://localhost:3000,capacitor://localhost,*")

    expected = ("https://app.example.com", "http://localhost:3000", "capacitor://localhost", "*")
    assert load(Settings).cors_origins == expected


def test_origins_are_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example, https://b.example,")

    assert load(Settings).cors_origins == ("https://a.example", "https://b.example")
    assert Settings(cors_origins=("https://a.example",)).cors_origins == ("https://a.example",)
