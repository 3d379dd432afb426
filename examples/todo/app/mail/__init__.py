"""Mail: written from templates, kept until the commit, sent by SMTP.

In development, without a server, mails are shown on the terminal and on `/dev/mails`.
"""

from app.mail.letters import letter
from app.mail.message import Mail, UnusableAddress
from app.mail.outbox import send_after_commit, send_letter
from app.mail.template import MailTemplate

__all__ = ["Mail", "MailTemplate", "UnusableAddress", "letter", "send_after_commit", "send_letter"]
