"""Mails on the terminal, in development: the link in them can be followed."""

import sys
from email.message import EmailMessage

RULE = "─" * 72


async def show(message: EmailMessage) -> None:
    """Write a mail to standard error, where the log goes, but not as a line of the log."""
    head = "\n".join(f"{name}: {message[name]}" for name in ("From", "To", "Subject"))
    text = "\n".join(message.get_content().strip().splitlines())
    sys.stderr.write(f"\n{RULE}\n{head}\n\n{text}\n{RULE}\n\n")
