"""Recording of emails, for tests of modules that send them."""

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from app.mail import DeferredEmail, Email


def record_emails(monkeypatch: pytest.MonkeyPatch, module: str) -> list[Email]:
    """Record the emails that `module` sends. Deferred ones are built immediately, in the transaction that sends them.

    Args:
        monkeypatch: Replaces `send` in the module.
        module: Name of the module that imports `send`, for example `app.modules.password.service`.
    """
    emails: list[Email] = []

    async def record(session: AsyncSession, email: Email | DeferredEmail) -> None:
        if built := email if isinstance(email, Email) else await email.build(session):
            emails.append(built)

    monkeypatch.setattr(f"{module}.send", record)
    return emails
