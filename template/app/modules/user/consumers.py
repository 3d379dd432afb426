"""Event consumers for users."""

from sqlmodel.ext.asyncio.session import AsyncSession

from app.mail.delivery import send_deferred_email
from app.messaging.consumers import Consumer
from app.modules.user.events import UserRegistered
from app.modules.user.mails import welcome

welcome_consumer = Consumer("welcome", process="mailer")


@welcome_consumer.on(UserRegistered)
async def on_user_registered(session: AsyncSession, event: UserRegistered) -> None:
    """Send the welcome email to a new user."""
    await send_deferred_email(session, f"{event.event_id}.{welcome_consumer.name}", welcome, user_id=event.user_id)
