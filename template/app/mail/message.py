"""What a mail is, and how it is written."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid

from app.core.exceptions import InvalidError

LINE_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class UnusableAddress(InvalidError):
    """The address may be valid, and still no mail can be sent to it from here."""

    message = "No mail can be sent to this address. Use another one."


@dataclass(frozen=True)
class Mail:
    """One mail to one person. Its text may carry a secret link, so it is never shown in logs.

    `html` says the same as `text`, for programs that show it; without it the mail is plain text.

    Raises:
        UnusableAddress: If `to` is anything but one address.
        ValueError: If the subject has line breaks, which would begin other headers.
    """

    to: str = field(repr=False)
    subject: str
    text: str = field(repr=False)
    html: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Refuse what cannot be sent now, while somebody can still be told."""
        try:
            parse_address(self.to)
        except ValueError:
            raise UnusableAddress from None
        if LINE_BREAKS.search(self.subject):
            raise ValueError("The subject of a mail must be one line.")


def parse_address(text: str, name: str = "") -> Address:
    """Read an address; a domain with other letters is written as the name system has it.

    Raises:
        ValueError: If it is not one address that every mail server understands.
    """
    local, _, domain = text.rpartition("@")
    try:
        local.encode("ascii")  # Python 3.15 refuses other letters only when the message is written
        return Address(name, addr_spec=f"{local}@{domain.encode('idna').decode()}")
    except (ValueError, LookupError, MessageError):  # LookupError: what Python 3.11 makes of a missing part
        raise ValueError("is not one address") from None


def compose(mail: Mail, sender: Address, message_id: str | None = None) -> EmailMessage:
    """Write the mail as it goes over the wire.

    Args:
        mail: What is written, and to whom.
        sender: In whose name.
        message_id: What tells this mail from all others; made up if it is not given.
    """
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = parse_address(mail.to)
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = message_id or make_msgid(domain=sender.domain)
    message["Auto-Submitted"] = "auto-generated"  # so that out-of-office replies stay away (RFC 3834)
    message["X-Auto-Response-Suppress"] = "All"  # the same for Exchange, which has a header of its own
    message.set_content(mail.text, cte="quoted-printable")  # which every server carries as it is
    if mail.html:
        message.add_alternative(mail.html, subtype="html", cte="quoted-printable")
    return message


def text_of(message: EmailMessage) -> str:
    """Return the plain text of a mail."""
    return _part(message, "plain")


def html_of(message: EmailMessage) -> str:
    """Return the HTML of a mail, or nothing if there is none."""
    return _part(message, "html")


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return "" if part is None else "\n".join(part.get_content().strip().splitlines())
