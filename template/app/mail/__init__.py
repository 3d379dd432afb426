"""Email: rendered from templates, sent by SMTP after the commit.

In development without an SMTP server, emails are printed to the terminal and shown on `/dev/mails`.
"""

from app.mail.letters import letter
from app.mail.message import Mail, UnusableAddress
from app.mail.outbox import send_after_commit, send_letter
from app.mail.template import MailTemplate

__all__ = ["Mail", "MailTemplate", "UnusableAddress", "letter", "send_after_commit", "send_letter"]
