"""Email: rendered from templates, sent by SMTP after the commit.

In development without an SMTP server, emails are printed to the terminal and shown on `/dev/mails`.
"""

from app.mail.deferred import deferred_email
from app.mail.message import Mail, UnusableAddress
from app.mail.outbox import send_deferred_email, send_email_after_commit
from app.mail.template import MailTemplate

__all__ = [
    "Mail",
    "MailTemplate",
    "UnusableAddress",
    "deferred_email",
    "send_deferred_email",
    "send_email_after_commit",
]
