"""SMTP settings: production requires a server, a sender, and encryption."""

import pytest

from app.core.config import ConfigurationError, Environment, load
from app.mail.settings import MailSettings, sender_address

PRODUCTION = {
    "ENV": "prod",
    "SMTP_HOST": "smtp.example.com",
    "SMTP_SENDER": "My Service <no-reply@example.com>",
    "SMTP_USERNAME": "service",
    "SMTP_PASSWORD": "hunter2",
}


def set_variables(monkeypatch: pytest.MonkeyPatch, **variables: str | None) -> None:
    for name, value in (PRODUCTION | variables).items():
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)


def test_production_requires_only_server_and_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch)
    settings = load(MailSettings)

    assert (settings.host, settings.port, settings.tls) == ("smtp.example.com", 587, "starttls")
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump_json()}"


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("SMTP_HOST", None, "SMTP_HOST: must be set"),
        ("SMTP_SENDER", None, "SMTP_SENDER: must be set. Example: My Service <no-reply@example.com>"),
        ("SMTP_TLS", "none", "SMTP_TLS: must be starttls or tls, unless the server runs on this machine"),
        ("SMTP_TLS", "maybe", "SMTP_TLS: Input should be 'starttls', 'tls' or 'none'"),
        ("SMTP_USERNAME", None, "SMTP_USERNAME: must be set together with SMTP_PASSWORD"),
        ("SMTP_PASSWORD", None, "SMTP_USERNAME: must be set together with SMTP_PASSWORD"),
        ("SMTP_PORT", "0", "SMTP_PORT: "),
        (
            "SMTP_BOUNCE_ADDRESS",
            "Bounces <b@example.com>",
            "SMTP_BOUNCE_ADDRESS: must be exactly one email address. Example: ",
        ),
        (
            "SMTP_BOUNCE_ADDRESS",
            "b@example.com\r\nRCPT TO:<c@example.com>",
            "SMTP_BOUNCE_ADDRESS: must be exactly one email address",
        ),
        ("SMTP_SENDER", "zoë@example.com", "SMTP_SENDER: must be exactly one email address"),
        ("SMTP_SENDER", "My Service", "SMTP_SENDER: must be exactly one email address. Example: "),
        ("SMTP_SENDER", "a@example.com, b@example.com", "SMTP_SENDER: must be exactly one email address"),
        ("SMTP_SENDER", "a@example.com\r\nBcc: b@example.com", "SMTP_SENDER: must be exactly one email address"),
        ("SMTP_SENDER", "a\r\nBcc: b@example.com <a@example.com>", "SMTP_SENDER: must be exactly one email address"),
    ],
)
def test_production_rejects_invalid_settings(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str | None, expected: str
) -> None:
    set_variables(monkeypatch, **{variable: value})
    with pytest.raises(ConfigurationError) as caught:
        load(MailSettings)
    assert expected in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_local_server_needs_no_encryption(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    set_variables(monkeypatch, SMTP_TLS="none", SMTP_HOST=host)
    assert load(MailSettings).host == host


def test_no_settings_are_required_outside_production() -> None:
    settings = MailSettings(env=Environment.TEST)
    assert (settings.host, settings.sender) == (None, "no-reply@localhost")


def test_sender_may_have_a_name() -> None:
    address = sender_address("Zoë & Co. <no-reply@example.com>")
    assert (address.display_name, address.addr_spec) == ("Zoë & Co.", "no-reply@example.com")
    assert sender_address("no-reply@bücher.example").domain == "xn--bcher-kva.example"


def test_bounce_address_is_normalized(monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch, SMTP_BOUNCE_ADDRESS="bounces@bücher.example")
    assert load(MailSettings).bounce_address == "bounces@xn--bcher-kva.example"
