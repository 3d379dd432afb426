"""A mail server on this machine that keeps what it is sent."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from queue import Empty, Queue
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread

PATIENCE_SECONDS = 300
TOKEN = re.compile(r"#token=([\w-]+)")


@dataclass(frozen=True)
class Mailbox:
    """The mails of everybody."""

    port: int
    mails: Queue[EmailMessage]

    def token(self, address: str) -> str:
        """Wait for a mail with a link to an address, and return the token of the link.

        Raises:
            AssertionError: If none comes.
        """
        while True:
            if found := TOKEN.search(text_of(self.mail(address))):
                return found[1]

    def mail(self, address: str) -> EmailMessage:
        """Wait for the next mail to an address; those to others are forgotten.

        Raises:
            AssertionError: If none comes.
        """
        try:
            while (mail := self.mails.get(timeout=PATIENCE_SECONDS))["To"] != address:
                pass
        except Empty:
            raise AssertionError(f"no mail for {address} after {PATIENCE_SECONDS} seconds") from None
        return mail

    def settings(self) -> dict[str, str]:
        """Return what makes a project send its mails here, in production."""
        sender = {"SMTP_SENDER": "Service <no-reply@example.com>"}
        return {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(self.port), "SMTP_TLS": "none", **sender}


def text_of(mail: EmailMessage) -> str:
    """Return what a mail says to those who read plain text."""
    body = mail.get_body(("plain",))
    assert body is not None, mail
    return str(body.get_content())


class _Conversation(StreamRequestHandler):
    """Speaks as much SMTP as taking a mail needs (RFC 5321)."""

    def handle(self) -> None:
        self._say("220 ready")
        for line in self.rfile:
            match line.split()[0].upper():
                case b"DATA":
                    self._say("354 go on")
                    self._keep()
                    self._say("250 kept")
                case b"QUIT":
                    self._say("221 bye")
                    return
                case _:
                    self._say("250 fine")

    def _keep(self) -> None:
        lines = [line.removeprefix(b".") for line in iter(self.rfile.readline, b".\r\n")]
        mail = message_from_bytes(b"".join(lines), policy=policy.default)
        assert isinstance(self.server, _Server)
        self.server.mails.put(mail)

    def _say(self, answer: str) -> None:
        self.wfile.write(f"{answer}\r\n".encode())


class _Server(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False  # a client may keep its connection

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.mails: Queue[EmailMessage] = Queue()


@contextmanager
def mailbox() -> Generator[Mailbox]:
    """Receive mails while the block runs."""
    with _Server() as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield Mailbox(server.server_address[1], server.mails)
        finally:
            server.shutdown()
            thread.join()
