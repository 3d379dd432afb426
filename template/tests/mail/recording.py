"""A backend that records emails, for tests of modules that send them."""

from sqlmodel.ext.asyncio.session import AsyncSession

from app.mail import DeferredEmail, Mail


class RecordingBackend:
    """Builds each email immediately, in the transaction that sends it."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []

    async def send(self, session: AsyncSession, email: Mail | DeferredEmail) -> None:
        mail = email if isinstance(email, Mail) else await email.build(session)
        if mail is not None:
            self.mails.append(mail)
