"""Email: rendered from templates, and sent by SMTP after the commit. A rollback discards it.

    WELCOME = EmailTemplate(__name__, "welcome", name="Ada")  # templates/welcome.txt, with example values

    await send(session, WELCOME.render(user.email, name=user.name))

A link with a secret must not be stored. A deferred email creates it when the email is sent:

    @deferred_email
    async def invitation(session: AsyncSession, *, user_id: UUID) -> Email | None: ...

    await send(session, invitation(user_id=user.id))

Each email is a job, which a worker runs. In development without an SMTP server, emails are printed to the
terminal and shown on `/dev/emails`.
"""

from app.mail.deferred import DeferredEmail
from app.mail.jobs import deferred_email, send
from app.mail.message import Email, UnusableAddress
from app.mail.template import EmailTemplate

__all__ = ["DeferredEmail", "Email", "EmailTemplate", "UnusableAddress", "deferred_email", "send"]
