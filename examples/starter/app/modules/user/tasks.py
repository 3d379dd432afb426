"""Background jobs for users."""

from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.events import subscribe
from app.jobs.task import task
from app.mail import send_deferred_email
from app.modules.user.events import UserRegistered
from app.modules.user.mails import welcome


@task()
async def send_welcome_email(session: AsyncSession, *, user_id: UUID) -> None:
    """Send the welcome email to a new user."""
    await send_deferred_email(session, welcome, user_id=user_id)


@subscribe(UserRegistered)
async def on_user_registered(session: AsyncSession, event: UserRegistered) -> None:
    """Enqueue the welcome email in the transaction that creates the account."""
    send_welcome_email.enqueue(session, user_id=event.user_id)
