"""Event consumers for users."""

from sqlmodel.ext.asyncio.session import AsyncSession

from app.events.consumers import Consumer
from app.mail.delivery import send_letter
from app.modules.user.events import UserRegistered
from app.modules.user.mails import welcome

welcoming = Consumer("welcome", one_by_one=True)


@welcoming.on(UserRegistered)
async def welcome_newcomer(session: AsyncSession, event: UserRegistered) -> None:
    """Send the welcome email to a new user."""
    await send_letter(session, f"{event.event_id}.{welcoming.name}", welcome, user_id=event.user_id)
