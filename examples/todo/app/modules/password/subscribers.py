"""Subscribers that protect accounts."""

from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.events import subscribe
from app.modules.password.service import revoke_old_address_access
from app.modules.user.events import EmailChanged


@subscribe(EmailChanged)
async def protect_account(session: AsyncSession, event: EmailChanged) -> None:
    """Revoke the access that the old email address gave."""
    await revoke_old_address_access(session, event.user_id, event.old_email)
