"""Email messages, and injection into their headers."""

from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parsedate_to_datetime

import pytest

from app.core.exceptions import InvalidError
from app.mail.message import Email, UnusableAddress, compose, html_of, text_of
from app.mail.settings import sender_address

SENDER = sender_address("Zoë <no-reply@example.com>")


def test_message_has_standard_headers_and_short_lines() -> None:
    link = "https://app.example.com/verify?token=" + "x" * 60
    written = compose(Email("ada@example.com", "Grüße", f"Hallo Zoë,\n{link}\n"), SENDER).as_bytes()
    message = message_from_bytes(written, policy=policy.default)

    assert (message["From"], message["To"]) == ("Zoë <no-reply@example.com>", "ada@example.com")
    assert message["Subject"] == "Grüße"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Auto-Response-Suppress"] == "All"
    assert message["Message-ID"].endswith("@example.com>")
    assert parsedate_to_datetime(message["Date"]).tzinfo is not None
    assert message.get_content().splitlines() == ["Hallo Zoë,", link]
    assert written.isascii()
    assert max(map(len, written.splitlines())) <= 78


@pytest.mark.parametrize("text", ["Grüße", "馬は正しい電池の主食", "x" * 2000])
def test_text_is_encoded_as_quoted_printable(text: str) -> None:
    written = compose(Email("ada@example.com", "Hello", text), SENDER).as_bytes()

    assert written.isascii()
    assert b"Content-Transfer-Encoding: quoted-printable" in written
    assert max(map(len, written.splitlines())) <= 78
    assert message_from_bytes(written, policy=policy.default).get_content().strip() == text


def test_html_is_added_as_alternative() -> None:
    page = "<!doctype html><p>Grüße</p>" + "x" * 2000
    written = compose(Email("ada@example.com", "Hello", "Grüße", page), SENDER).as_bytes()
    message = message_from_bytes(written, policy=policy.default)
    assert isinstance(message, EmailMessage)

    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert (text_of(message), html_of(message)) == ("Grüße", page)
    assert written.isascii()
    assert max(map(len, written.splitlines())) <= 78


def test_email_without_html_is_plain_text() -> None:
    message = compose(Email("ada@example.com", "Hello", "Hello\n"), SENDER)

    assert message.get_content_type() == "text/plain"
    assert (text_of(message), html_of(message)) == ("Hello", "")


def test_message_ids_are_unique() -> None:
    email = Email("ada@example.com", "Hello", "Hello")
    assert compose(email, SENDER, "<1@example.com>")["Message-ID"] == "<1@example.com>"
    assert compose(email, SENDER)["Message-ID"] != compose(email, SENDER)["Message-ID"]


@pytest.mark.parametrize(
    "address",
    [
        "a@example.com\r\nBcc: b@example.com",
        "a@example.com\nBcc: b@example.com",
        "a@example.com\r",
        "a@example.com, b@example.com",
        "a@example.com b@example.com",
        "a@example.com;b@example.com",
        "Ada <a@example.com>",
        "<a@example.com>",
        "a@example.com\x00",
        "a@exam\r\nple.com",
        "a@example..com",
        "zoë@example.com",
        "ada",
        "ada@",
        "@example.com",
        "",
    ],
)
def test_invalid_recipient_is_rejected(address: str) -> None:
    with pytest.raises(UnusableAddress) as caught:
        Email(address, "Hello", "Hello")
    assert isinstance(caught.value, InvalidError)
    assert str(caught.value) == UnusableAddress.message


def test_internationalized_domain_is_encoded() -> None:
    assert compose(Email("ada@bücher.example", "Hello", "Hello"), SENDER)["To"] == "ada@xn--bcher-kva.example"


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\x00"])
def test_subject_with_line_break_is_rejected(end: str) -> None:
    with pytest.raises(ValueError, match="a single line"):
        Email("ada@example.com", f"Hello{end}Bcc: b@example.com", "Hello")


@pytest.mark.parametrize("subject", ["", "私の　サービス", "My\u00a0Service: don't panic 🚀 👩\u200d🚀", "x" * 300])
def test_subject_is_preserved(subject: str) -> None:
    written = compose(Email("ada@example.com", subject, "Hello"), SENDER).as_bytes()
    assert message_from_bytes(written, policy=policy.default)["Subject"] == subject


def test_headers_in_text_are_not_interpreted() -> None:
    text = "\r\n.\r\nRCPT TO:<b@example.com>\r\nBcc: b@example.com\n"
    message = message_from_bytes(
        compose(Email("ada@example.com", "Hello", text), SENDER).as_bytes(), policy=policy.default
    )

    assert message["Bcc"] is None
    assert message.get_content().split() == text.split()


def test_repr_does_not_contain_text() -> None:
    email = Email("ada@example.com", "Hello", "https://app.example.com/reset#hunter2", "<p>hunter2</p>")
    assert f"{email!r} {email}" == "Email(subject='Hello') Email(subject='Hello')"
