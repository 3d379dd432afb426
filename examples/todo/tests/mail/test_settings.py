"""Settings of the mail server: production sends mail, and not in the clear."""

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


def set_all(monkeypatch: pytest.MonkeyPatch, **variables: str | None) -> None:
    for name, value in (PRODUCTION | variables).items():
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)


def test_production_is_ready_with_a_server_and_a_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch)
    settings = load(MailSettings)

    assert (settings.host, settings.port, settings.tls) == ("smtp.example.com", 587, "starttls")
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump_json()}"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("SMTP_HOST", None, "SMTP_HOST: must be set"),
        ("SMTP_SENDER", None, "SMTP_SENDER: must be set. Example: My Service <no-reply@example.com>"),
        ("SMTP_TLS", "none", "SMTP_TLS: must be starttls or tls, unless the server is on this machine"),
        ("SMTP_TLS", "maybe", "SMTP_TLS: Input should be 'starttls', 'tls' or 'none'"),
        ("SMTP_USERNAME", None, "SMTP_USERNAME: must be set together with SMTP_PASSWORD"),
        ("SMTP_PASSWORD", None, "SMTP_USERNAME: must be set together with SMTP_PASSWORD"),
        ("SMTP_PORT", "0", "SMTP_PORT: "),
        ("SMTP_BOUNCE_ADDRESS", "Bounces <b@example.com>", "SMTP_BOUNCE_ADDRESS: is not one address. Example: "),
        ("SMTP_BOUNCE_ADDRESS", "b@example.com\r\nRCPT TO:<c@example.com>", "SMTP_BOUNCE_ADDRESS: is not one address"),
        ("SMTP_SENDER", "zoë@example.com", "SMTP_SENDER: is not one address"),
        ("SMTP_SENDER", "My Service", "SMTP_SENDER: is not one address. Example: "),
        ("SMTP_SENDER", "a@example.com, b@example.com", "SMTP_SENDER: is not one address"),
        ("SMTP_SENDER", "a@example.com\r\nBcc: b@example.com", "SMTP_SENDER: is not one address"),
        ("SMTP_SENDER", "a\r\nBcc: b@example.com <a@example.com>", "SMTP_SENDER: is not one address"),
    ],
)
def test_production_refuses(monkeypatch: pytest.MonkeyPatch, variable: str, value: str | None, said: str) -> None:
    set_all(monkeypatch, **{variable: value})
    with pytest.raises(ConfigurationError) as caught:
        load(MailSettings)
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_a_relay_on_this_machine_needs_no_encryption(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    set_all(monkeypatch, SMTP_TLS="none", SMTP_HOST=host)
    assert load(MailSettings).host == host


def test_outside_production_nothing_must_be_set() -> None:
    settings = MailSettings(env=Environment.TEST)
    assert (settings.host, settings.sender) == (None, "no-reply@localhost")


def test_a_sender_may_have_a_name() -> None:
    address = sender_address("Zoë & Co. <no-reply@example.com>")
    assert (address.display_name, address.addr_spec) == ("Zoë & Co.", "no-reply@example.com")
    assert sender_address("no-reply@bücher.example").domain == "xn--bcher-kva.example"


def test_bounces_go_to_one_address(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, SMTP_BOUNCE_ADDRESS="bounces@bücher.example")
    assert load(MailSettings).bounce_address == "bounces@xn--bcher-kva.example"
