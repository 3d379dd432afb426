"""The welcome email."""

from uuid import uuid4

from sqlmodel.ext.asyncio.session import AsyncSession

from app.modules.user.emails import welcome
from app.modules.user.models import User


async def test_welcome_email_contains_name(session: AsyncSession) -> None:
    user = User(email="ada@example.com", name="Ada <3")
    session.add(user)
    await session.flush()
    email = await welcome(user_id=user.id).build(session)

    assert email is not None
    assert (email.to, "Hello Ada <3," in email.text, "Hello Ada &lt;3," in email.html) == (user.email, True, True)


async def test_deleted_user_gets_no_welcome_email(session: AsyncSession) -> None:
    assert await welcome(user_id=uuid4()).build(session) is None
