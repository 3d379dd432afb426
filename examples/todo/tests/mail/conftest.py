"""A real SMTP server in this process."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.core.config import Environment
from app.mail.settings import MailSettings, Tls
from tests.waiting import TIMEOUT_SECONDS

HOST = "127.0.0.1"


@dataclass
class FakeMailServer:
    """An SMTP server that records what it receives."""

    port: int = 0
    emails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    recipient_replies: list[str] = field(default_factory=list)  # one per recipient; when used up, all are accepted
    data_replies: list[str] = field(default_factory=list)
    connections: int = 0
    peak_connections: int = 0
    proceed: asyncio.Event = field(default_factory=asyncio.Event)
    _listening: asyncio.Server | None = None

    def __post_init__(self) -> None:
        self.proceed.set()

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.recipient_replies:
            return self.recipient_replies.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.connections += 1
        self.peak_connections = max(self.peak_connections, self.connections)
        await self.proceed.wait()
        self.connections -= 1
        if self.data_replies:
            return self.data_replies.pop(0)
        self.emails.append(message_from_bytes(envelope.original_content or b"", policy=policy.default))
        self.envelopes.append(envelope)
        self.encrypted.append(session.ssl is not None)
        return "250 OK"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == b"hunter2", handled=False)

    async def start(self, **options: Any) -> None:
        loop = asyncio.get_running_loop()
        tls = options.pop("tls", None)
        self._listening = await loop.create_server(
            lambda: SMTP(self, hostname=HOST, loop=loop, authenticator=self.authenticate, **options),
            HOST,
            self.port,
            ssl=tls,
        )
        self.port = self._listening.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._listening is not None:
            self._listening.close()
            await self._listening.wait_closed()
            self._listening = None


StartServer = Callable[..., Awaitable[FakeMailServer]]


@pytest.fixture
async def start_server() -> AsyncGenerator[StartServer]:
    """Start servers, and stop them after the test."""
    servers: list[FakeMailServer] = []

    async def start(**options: Any) -> FakeMailServer:
        server = FakeMailServer()
        servers.append(server)
        await server.start(**options)
        return server

    yield start
    for server in servers:
        server.proceed.set()
        await server.stop()


@pytest.fixture
async def server(start_server: StartServer) -> FakeMailServer:
    """A server that accepts everything, without encryption."""
    return await start_server()


def settings_for(server: FakeMailServer, **more: Any) -> MailSettings:
    defaults: dict[str, Any] = {
        "host": HOST,
        "port": server.port,
        "tls": Tls.NONE,
        "timeout_seconds": TIMEOUT_SECONDS,
        "sender": "My Service <no-reply@example.com>",
    }
    return MailSettings(env=Environment.TEST, **(defaults | more))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.test")]), datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("certificate") / "mail.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    """The TLS context of the server."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context
