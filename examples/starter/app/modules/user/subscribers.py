"""Subscribers to user events."""

from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.events import subscribe
from app.mail import send
from app.modules.user.emails import welcome
from app.modules.user.events import UserRegistered


@subscribe(UserRegistered)
async def send_welcome_email(session: AsyncSession, event: UserRegistered) -> None:
    """Send the welcome email to a new user."""
    await send(session, welcome(user_id=event.user_id))
