"""Event consumers for users."""

from sqlmodel.ext.asyncio.session import AsyncSession

from app.mail import send
from app.messaging.consumers import Consumer
from app.modules.user.emails import welcome
from app.modules.user.events import UserRegistered

welcome_consumer = Consumer("welcome", process="mailer")


@welcome_consumer.on(UserRegistered)
async def send_welcome_email(session: AsyncSession, event: UserRegistered) -> None:
    """Send the welcome email to a new user."""
    await send(session, welcome(user_id=event.user_id))
