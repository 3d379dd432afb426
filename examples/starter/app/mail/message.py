"""Email messages and how they are composed."""

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
    """The email address is well-formed, but not supported for sending."""

    message = "No email can be sent to this address. Use another one."


@dataclass(frozen=True)
class Email:
    """An email to one recipient. Its text may contain a secret link, so it is excluded from `repr` and logs.

    `html` has the same content as `text`. Without it, the email is plain text.

    Raises:
        UnusableAddress: If `to` is not exactly one supported email address.
        ValueError: If the subject contains line breaks, which would allow header injection.
    """

    to: str = field(repr=False)
    subject: str
    text: str = field(repr=False)
    html: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Validate on creation, while the caller can still report the error."""
        try:
            parse_address(self.to)
        except ValueError:
            raise UnusableAddress from None
        if LINE_BREAKS.search(self.subject):
            raise ValueError("The subject of an email must be a single line.")


def parse_address(text: str, name: str = "") -> Address:
    """Parse an email address; an internationalized domain is encoded for DNS (IDNA).

    Raises:
        ValueError: If it is not exactly one address, or its local part is not ASCII.
    """
    local, _, domain = text.rpartition("@")
    try:
        local.encode("ascii")  # Python 3.15 rejects other characters only when the message is serialized
        return Address(name, addr_spec=f"{local}@{domain.encode('idna').decode()}")
    except (ValueError, LookupError, MessageError):  # LookupError: raised by Python 3.11 for a missing part
        raise ValueError("must be exactly one email address") from None


def compose(email: Email, sender: Address, message_id: str | None = None) -> EmailMessage:
    """Build the message to send.

    Args:
        email: Recipient, subject, and text.
        sender: Address for the `From` header.
        message_id: Value of the `Message-ID` header; generated if omitted.
    """
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = parse_address(email.to)
    message["Subject"] = email.subject
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = message_id or make_msgid(domain=sender.domain)
    message["Auto-Submitted"] = "auto-generated"  # suppresses out-of-office replies (RFC 3834)
    message["X-Auto-Response-Suppress"] = "All"  # the same for Microsoft Exchange
    message.set_content(email.text, cte="quoted-printable")  # passes every server unchanged
    if email.html:
        message.add_alternative(email.html, subtype="html", cte="quoted-printable")
    return message


def text_of(message: EmailMessage) -> str:
    """Return the plain text of a message."""
    return _part(message, "plain")


def html_of(message: EmailMessage) -> str:
    """Return the HTML of a message, or an empty string if there is none."""
    return _part(message, "html")


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return "" if part is None else "\n".join(part.get_content().strip().splitlines())
