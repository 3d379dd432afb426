"""A local mail server that stores the emails it receives."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from queue import Empty, Queue
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread

TIMEOUT_SECONDS = 300  # for a busy machine
TOKEN = re.compile(r"#token=([\w-]+)")


@dataclass(frozen=True)
class Mailbox:
    """All received emails."""

    port: int
    messages: Queue[EmailMessage]

    def token(self, address: str) -> str:
        """Wait for an email with a link, and return the token of the link.

        Raises:
            AssertionError: If none is received in time.
        """
        while True:
            if found := TOKEN.search(text_of(self.receive(address))):
                return found[1]

    def receive(self, address: str) -> EmailMessage:
        """Wait for the next email to an address; emails to other addresses are discarded.

        Raises:
            AssertionError: If none is received in time.
        """
        try:
            while (message := self.messages.get(timeout=TIMEOUT_SECONDS))["To"] != address:
                pass
        except Empty:
            raise AssertionError(f"no email to {address} after {TIMEOUT_SECONDS} seconds") from None
        return message

    def settings(self) -> dict[str, str]:
        """Return settings with which a project in production sends its emails here."""
        sender = {"SMTP_SENDER": "Service <no-reply@example.com>"}
        return {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(self.port), "SMTP_TLS": "none", **sender}


def text_of(message: EmailMessage) -> str:
    """Return the plain text of an email."""
    body = message.get_body(("plain",))
    assert body is not None, message
    return str(body.get_content())


class _SmtpHandler(StreamRequestHandler):
    """Implements the part of SMTP that receiving an email needs (RFC 5321)."""

    def handle(self) -> None:
        self._reply("220 ready")
        for line in self.rfile:
            match line.split()[0].upper():
                case b"DATA":
                    self._reply("354 continue")
                    self._store()
                    self._reply("250 stored")
                case b"QUIT":
                    self._reply("221 bye")
                    return
                case _:
                    self._reply("250 ok")

    def _store(self) -> None:
        lines = [line.removeprefix(b".") for line in iter(self.rfile.readline, b".\r\n")]
        message = message_from_bytes(b"".join(lines), policy=policy.default)
        assert isinstance(self.server, _Server)
        self.server.messages.put(message)

    def _reply(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


class _Server(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False  # a client may keep its connection

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _SmtpHandler)
        self.messages: Queue[EmailMessage] = Queue()


@contextmanager
def mailbox() -> Generator[Mailbox]:
    """Receive emails during the block."""
    with _Server() as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield Mailbox(server.server_address[1], server.messages)
        finally:
            server.shutdown()
            thread.join()
