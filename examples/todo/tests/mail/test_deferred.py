"""Deferred emails."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.testing import capture_logs

from app.db.session import Database, transaction
from app.mail import Email, deferred_email
from app.mail.deferred import build_email
from app.modules.user.models import User

ID, NOW = UUID(int=1), datetime(2030, 1, 31, 18, 0, 0, 123456, tzinfo=UTC)


@deferred_email
async def notice(session: AsyncSession, *, user_id: UUID, to: str, at: datetime | None = None) -> Email | None:
    """Add a user; return an email that contains the arguments, if there is an address."""
    session.add(User(email="ada@example.com", name="Ada"))
    await session.flush()
    return Email(to, "Hello", f"{user_id} {at}") if to else None


async def count_users(database: Database) -> int:
    async with transaction(database.read_transaction) as session:
        return len((await session.exec(select(User))).all())


async def test_deferred_email_is_built_from_its_arguments(database: Database) -> None:
    email = await build_email(database, notice(user_id=ID, to="ada@example.com", at=NOW))

    assert email is not None
    assert email.text == f"{ID} {NOW}"
    assert await count_users(database) == 1


@pytest.mark.parametrize("arguments", [{}, {"user_id": ID, "to": "", "from": ""}])
def test_arguments_must_fit_the_function(arguments: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        notice(**arguments)


def test_positional_arguments_are_rejected() -> None:
    with pytest.raises(TypeError):
        notice(ID)  # ty: ignore[too-many-positional-arguments, missing-argument]


def test_repr_hides_arguments() -> None:
    assert "ada@" not in repr(notice(user_id=ID, to="ada@example.com"))


async def test_builder_returning_none_sends_nothing(database: Database) -> None:
    with capture_logs() as lines:
        assert await build_email(database, notice(user_id=ID, to="")) is None

    assert lines == [
        {
            "event": "deferred email skipped, nothing to send",
            "deferred_email": "notice",
            "log_level": "info",
        }
    ]


async def test_unusable_address_is_logged_and_rolls_back(database: Database) -> None:
    with capture_logs() as lines:
        assert await build_email(database, notice(user_id=ID, to="ädä@example.com")) is None

    assert [(line["event"], line["error"]) for line in lines] == [("email not sent", "UnusableAddress")]
    assert "ädä" not in str(lines)
    assert await count_users(database) == 0
