"""Emails to users. Their texts are in `templates/`."""

from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from app.mail import Email, EmailTemplate, deferred_email
from app.mail.template import EXAMPLE_ADDRESS
from app.modules.user.models import User

WELCOME = EmailTemplate(__name__, "welcome", name="Ada Lovelace", email=EXAMPLE_ADDRESS)


@deferred_email
async def welcome(session: AsyncSession, *, user_id: UUID) -> Email | None:
    """Welcome a new user, unless they have been deleted in the meantime."""
    user = await session.get(User, user_id)
    return WELCOME.render(user.email, name=user.name, email=user.email) if user else None
