"""Email: rendered from templates, sent by SMTP after the commit.

    await send(session, mails.WELCOME.render(user.email, name=user.name))  # a fixed text
    await send(session, mails.reset_password(email=email, requested_at=utc_now()))  # built when it is sent

In development without an SMTP server, emails are printed to the terminal and shown on `/dev/mails`.
"""

from app.mail.deferred import DeferredEmail, deferred_email
from app.mail.message import Mail, UnusableAddress
from app.mail.outbox import MailBackend, send, use_backend
from app.mail.template import MailTemplate

__all__ = [
    "DeferredEmail",
    "Mail",
    "MailBackend",
    "MailTemplate",
    "UnusableAddress",
    "deferred_email",
    "send",
    "use_backend",
]
