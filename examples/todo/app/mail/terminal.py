"""Mails on the terminal, in development: the link in them can be followed. `/dev/mails` shows them too."""

import sys
from collections import deque
from email.message import EmailMessage

from app.mail.message import text_of

RULE = "─" * 72
KEPT = 50

shown: deque[EmailMessage] = deque(maxlen=KEPT)  # the newest first


async def show(message: EmailMessage) -> None:
    """Write a mail to standard error, where the log goes, but not as a line of the log."""
    shown.appendleft(message)
    head = "\n".join(f"{name}: {message[name]}" for name in ("From", "To", "Subject"))
    sys.stderr.write(f"\n{RULE}\n{head}\n\n{text_of(message)}\n{RULE}\n\n")
