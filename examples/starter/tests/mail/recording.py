"""A backend that records emails, for tests of modules that send them."""

from sqlmodel.ext.asyncio.session import AsyncSession

from app.mail import DeferredEmail, Mail


class RecordingBackend:
    """Builds each email immediately, in the transaction that sends it."""

    def __init__(self, module: str = "") -> None:
        """Ignore deferred emails of other modules than `module`."""
        self.module = module
        self.mails: list[Mail] = []

    async def send(self, session: AsyncSession, email: Mail | DeferredEmail) -> None:
        if isinstance(email, Mail):
            self.mails.append(email)
        elif email.builder.name.startswith(self.module) and (mail := await email.build(session)):
            self.mails.append(mail)
