"""Letters: found by name."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.testing import capture_logs

from app.mail import Mail, letter
from app.mail.letters import find

ID, NOW = UUID(int=1), datetime(2030, 1, 31, 18, 0, 0, 123456, tzinfo=UTC)


@letter
async def invitation(session: AsyncSession, *, user_id: UUID, name: str, at: datetime | None) -> Mail | None:
    """Say what it was given."""
    return Mail("ada@example.com", "Hello", f"{user_id} {name} {at}") if name else None


async def test_a_letter_is_found_by_its_name(session: AsyncSession) -> None:
    mail = await find(invitation.name).write(session, user_id=ID, name="Ada", at=NOW)

    assert mail is not None
    assert mail.text == f"{ID} Ada {NOW}"


async def test_nothing_to_write_about_is_noted(session: AsyncSession) -> None:
    with capture_logs() as lines:
        assert await invitation.write(session, user_id=ID, name="", at=None) is None

    assert lines == [
        {
            "event": "letter dropped: what it was about is gone",
            "letter": "tests.mail.test_letters.invitation",
            "log_level": "info",
        }
    ]


def test_a_letter_that_is_not_known_says_so() -> None:
    with pytest.raises(LookupError, match=r"no letter app\.gone: was it renamed"):
        find("app.gone")
