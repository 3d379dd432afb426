"""What is done in the background when something happens to users."""

from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.events import subscribe
from app.mail import send_letter
from app.modules.user.events import UserRegistered
from app.modules.user.mails import welcome
from app.workers.task import task


@task()
async def send_welcome_email(session: AsyncSession, *, user_id: UUID) -> None:
    """Write to somebody who has just opened an account."""
    await send_letter(session, welcome, user_id=user_id)


@subscribe(UserRegistered)
async def welcome_newcomer(session: AsyncSession, event: UserRegistered) -> None:
    """Let the mail be written once the account is there, and never if it comes to nothing."""
    send_welcome_email.enqueue(session, user_id=event.user_id)
