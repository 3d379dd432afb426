"""What is done when something has happened to users."""

from sqlmodel.ext.asyncio.session import AsyncSession

from app.events.consumers import Consumer
from app.mail.delivery import send_letter
from app.modules.user.events import UserRegistered
from app.modules.user.mails import welcome

welcoming = Consumer("welcome", one_by_one=True)


@welcoming.on(UserRegistered)
async def welcome_newcomer(session: AsyncSession, event: UserRegistered) -> None:
    """Write to somebody who has just opened an account."""
    await send_letter(session, f"{event.event_id}.{welcoming.name}", welcome, user_id=event.user_id)
