"""Printing emails to the terminal in development, so that their links can be followed."""

import sys
from collections import deque
from email.message import EmailMessage

from app.mail.message import text_of

SEPARATOR = "─" * 72
MAX_KEPT = 50
TERMINAL_HINT = "Printed instead of sent, because SMTP_HOST is not set."
LINK_HINT = "Links lead to pages of your frontend. Until those pages exist, submit the token on /docs."

printed_emails: deque[EmailMessage] = deque(maxlen=MAX_KEPT)  # newest first; `/dev/emails` shows them too


async def print_email(message: EmailMessage) -> None:
    """Print an email to standard error, next to the log but not as a log line."""
    printed_emails.appendleft(message)
    head = "\n".join(f"{name}: {message[name]}" for name in ("From", "To", "Subject"))
    text = text_of(message)
    hint = f"{TERMINAL_HINT}\n{LINK_HINT}" if "#token=" in text else TERMINAL_HINT
    sys.stderr.write(f"\n{SEPARATOR}\n{head}\n\n{text}\n{SEPARATOR}\n{hint}\n\n")
