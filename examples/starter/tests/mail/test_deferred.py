"""Deferred emails."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.testing import capture_logs

from app.mail import Mail, deferred_email
from app.mail.deferred import get_builder

ID, NOW = UUID(int=1), datetime(2030, 1, 31, 18, 0, 0, 123456, tzinfo=UTC)


@deferred_email
async def invitation(session: AsyncSession, *, user_id: UUID, name: str, at: datetime | None) -> Mail | None:
    """Return an email that contains its arguments, if there is a name."""
    return Mail("ada@example.com", "Hello", f"{user_id} {name} {at}") if name else None


async def test_deferred_email_is_found_by_name(session: AsyncSession) -> None:
    mail = await get_builder(invitation.name).write(session, user_id=ID, name="Ada", at=NOW)

    assert mail is not None
    assert mail.text == f"{ID} Ada {NOW}"


async def test_skipped_deferred_email_is_logged(session: AsyncSession) -> None:
    with capture_logs() as lines:
        assert await invitation.write(session, user_id=ID, name="", at=None) is None

    assert lines == [
        {
            "event": "deferred email skipped: nothing left to send",
            "letter": "tests.mail.test_deferred.invitation",
            "log_level": "info",
        }
    ]


def test_unknown_deferred_email_is_explained() -> None:
    with pytest.raises(LookupError, match=r"no deferred email app\.gone\. It may have been renamed"):
        get_builder("app.gone")
