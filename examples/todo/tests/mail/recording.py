"""A backend that records emails, for tests of modules that send them."""

from sqlmodel.ext.asyncio.session import AsyncSession

from app.mail import DeferredEmail, Email


class RecordingBackend:
    """Builds each email immediately, in the transaction that sends it."""

    def __init__(self, module: str = "") -> None:
        """Ignore deferred emails of other modules than `module`."""
        self.module = module
        self.emails: list[Email] = []

    async def send(self, session: AsyncSession, email: Email | DeferredEmail) -> None:
        if isinstance(email, Email):
            self.emails.append(email)
        elif email.builder.name.startswith(self.module) and (built := await email.build(session)):
            self.emails.append(built)
