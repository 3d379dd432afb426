"""SMTP delivery: encryption, login, and error classification."""

import ssl
from pathlib import Path

import aiosmtplib
import pytest
from aiosmtplib import SMTPException, SMTPRecipientRefused, SMTPRecipientsRefused

from app.mail.message import Email, compose
from app.mail.settings import Tls, sender_address
from app.mail.smtp import deliver, is_temporary
from tests.mail.conftest import FakeMailServer, StartServer, settings_for

MESSAGE = compose(
    Email("ada@example.com", "Hello", "https://app.example.com/verify"), sender_address("no-reply@example.com")
)


@pytest.fixture
def _trust_certificate(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


async def test_email_is_delivered(server: FakeMailServer) -> None:
    await deliver(settings_for(server), MESSAGE)

    assert server.emails[0]["Subject"] == "Hello"
    assert server.envelopes[0].rcpt_tos == ["ada@example.com"]
    assert server.envelopes[0].mail_from == "no-reply@example.com"
    assert server.logins == []


async def test_bounce_address_is_envelope_sender(server: FakeMailServer) -> None:
    await deliver(settings_for(server, bounce_address="bounces@example.com"), MESSAGE)

    assert server.envelopes[0].mail_from == "bounces@example.com"
    assert server.emails[0]["From"] == "no-reply@example.com"


@pytest.mark.usefixtures("_trust_certificate")
async def test_starttls_encrypts_before_login(start_server: StartServer, tls: ssl.SSLContext) -> None:
    server = await start_server(tls_context=tls, require_starttls=True, auth_required=True)
    await deliver(settings_for(server, tls=Tls.STARTTLS, username="service", password="hunter2"), MESSAGE)

    assert server.encrypted == [True]
    assert server.logins == [("service", "hunter2")]


@pytest.mark.usefixtures("_trust_certificate")
async def test_tls_encrypts_the_connection(start_server: StartServer, tls: ssl.SSLContext) -> None:
    server = await start_server(tls=tls, auth_require_tls=False)
    await deliver(settings_for(server, tls=Tls.TLS, username="service", password="hunter2"), MESSAGE)

    assert len(server.emails) == 1
    assert server.logins == [("service", "hunter2")]


@pytest.mark.parametrize("mode", [Tls.STARTTLS, Tls.TLS])
async def test_untrusted_certificate_is_rejected(start_server: StartServer, tls: ssl.SSLContext, mode: Tls) -> None:
    server = await start_server(**({"tls": tls} if mode is Tls.TLS else {"tls_context": tls}), auth_require_tls=False)
    with pytest.raises((SMTPException, OSError)):
        await deliver(settings_for(server, tls=mode, username="service", password="hunter2"), MESSAGE)

    assert (server.emails, server.logins) == ([], [])


async def test_server_without_starttls_gets_no_password(start_server: StartServer) -> None:
    server = await start_server(auth_require_tls=False)
    with pytest.raises(SMTPException) as caught:
        await deliver(settings_for(server, tls=Tls.STARTTLS, username="service", password="hunter2"), MESSAGE)

    assert (server.emails, server.logins) == ([], [])
    assert not is_temporary(caught.value)


@pytest.mark.usefixtures("_trust_certificate")
async def test_wrong_password_is_a_permanent_error(start_server: StartServer, tls: ssl.SSLContext) -> None:
    server = await start_server(tls_context=tls, auth_required=True)
    with pytest.raises(aiosmtplib.SMTPAuthenticationError) as caught:
        await deliver(settings_for(server, tls=Tls.STARTTLS, username="service", password="wrong"), MESSAGE)

    assert not is_temporary(caught.value)
    assert server.emails == []


@pytest.mark.parametrize(
    ("error", "temporary"),
    [
        (aiosmtplib.SMTPServerDisconnected("gone"), True),
        (aiosmtplib.SMTPConnectError("refused"), True),
        (aiosmtplib.SMTPReadTimeoutError("late"), True),
        (ConnectionResetError(), True),
        (aiosmtplib.SMTPConnectResponseError(421, "busy"), True),
        (aiosmtplib.SMTPConnectResponseError(554, "go away"), False),
        (aiosmtplib.SMTPDataError(451, "later"), True),
        (aiosmtplib.SMTPDataError(552, "too big"), False),
        (aiosmtplib.SMTPNotSupported("no STARTTLS"), False),
        (SMTPRecipientsRefused([SMTPRecipientRefused(450, "greylisted", "ada@example.com")]), True),
        (SMTPRecipientsRefused([SMTPRecipientRefused(550, "unknown", "ada@example.com")]), False),
        (ValueError("odd"), False),
    ],
)
def test_temporary_errors_are_distinguished_from_permanent_ones(error: Exception, temporary: bool) -> None:
    assert is_temporary(error) is temporary
