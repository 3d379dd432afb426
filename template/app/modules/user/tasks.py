"""Background jobs for users."""

from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.events import subscribe
from app.mail import send_letter
from app.modules.user.events import UserRegistered
from app.modules.user.mails import welcome
from app.workers.task import task


@task()
async def send_welcome_email(session: AsyncSession, *, user_id: UUID) -> None:
    """Send the welcome email to a new user."""
    await send_letter(session, welcome, user_id=user_id)


@subscribe(UserRegistered)
async def welcome_newcomer(session: AsyncSession, event: UserRegistered) -> None:
    """Enqueue the welcome email in the transaction that creates the account."""
    send_welcome_email.enqueue(session, user_id=event.user_id)
