"""The active email backend."""

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from app.mail import Email, send, use_backend
from app.mail.after_commit import set_default_backend
from tests.conftest import OwnRegistry
from tests.mail.recording import RecordingBackend

FIRST, SECOND = Email("ada@example.com", "First", "1"), Email("ada@example.com", "Second", "2")


async def test_sending_without_backend_is_rejected(session: AsyncSession, own_registry: OwnRegistry) -> None:
    own_registry("app.mail.after_commit._backends").clear()
    with pytest.raises(RuntimeError, match="lifespan"):
        await send(session, FIRST)


async def test_default_backend_is_used_unless_another_is_active(
    session: AsyncSession, own_registry: OwnRegistry
) -> None:
    own_registry("app.mail.after_commit._backends").clear()
    active, default = RecordingBackend(), RecordingBackend()
    with use_backend(active):
        set_default_backend(default)
        await send(session, FIRST)
    await send(session, SECOND)

    assert (active.emails, default.emails) == ([FIRST], [SECOND])
