"""Email: rendered from templates, sent by SMTP after the commit.

    await send(session, emails.WELCOME.render(user.email, name=user.name))  # a fixed text
    await send(session, emails.reset_password(email=email, requested_at=utc_now()))  # built when it is sent

In development without an SMTP server, emails are printed to the terminal and shown on `/dev/emails`.
"""

from app.mail.after_commit import EmailBackend, send, use_backend
from app.mail.deferred import DeferredEmail, deferred_email
from app.mail.message import Email, UnusableAddress
from app.mail.template import EmailTemplate

__all__ = [
    "DeferredEmail",
    "Email",
    "EmailBackend",
    "EmailTemplate",
    "UnusableAddress",
    "deferred_email",
    "send",
    "use_backend",
]
