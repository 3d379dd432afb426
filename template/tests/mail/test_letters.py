"""Letters: found by name, with arguments that are kept as JSON."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.testing import capture_logs

from app.mail import Mail, letter
from app.mail.letters import find

ID, NOW = UUID(int=1), datetime(2030, 1, 31, 18, 0, 0, 123456, tzinfo=UTC)


@letter
async def invitation(session: AsyncSession, *, user_id: UUID, name: str, at: datetime | None) -> Mail | None:
    """Say what it was given."""
    return Mail("ada@example.com", "Hello", f"{user_id} {name} {at}") if name else None


@pytest.mark.parametrize("at", [NOW, None])
async def test_a_letter_gets_what_it_was_asked_for_with(session: AsyncSession, at: datetime | None) -> None:
    packed = json.loads(json.dumps(invitation.pack(user_id=ID, name="Ada", at=at)))
    mail = await find(invitation.name).write(session, packed)

    assert mail is not None
    assert mail.text == f"{ID} Ada {at}"


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"user_id": ID, "name": "Ada"},
        {"user_id": "me", "name": "Ada", "at": None},
        {"user_id": ID, "name": "Ada", "at": None, "more": 1},
    ],
)
def test_arguments_that_do_not_fit_are_refused_when_it_is_asked_for(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        invitation.pack(**arguments)


async def test_nothing_to_write_about_is_noted(session: AsyncSession) -> None:
    with capture_logs() as lines:
        assert await invitation.write(session, invitation.pack(user_id=ID, name="", at=None)) is None

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
