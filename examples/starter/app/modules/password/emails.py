"""Emails about registration and passwords. Their texts are in `templates/`.

Emails with a link are deferred emails, which create their secret when they are sent. The others are rendered
immediately, for the current address of the user.
"""

from datetime import datetime
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.config import load
from app.mail import Email, EmailTemplate, deferred_email
from app.mail.template import EXAMPLE_LINK
from app.modules.password.models import Purpose
from app.modules.password.repository import PasswordRepository
from app.modules.user.models import User
from app.modules.user.service import UserService
from app.security.settings import SecuritySettings

VERIFY_EMAIL = EmailTemplate(__name__, "verify_email", link=EXAMPLE_LINK)
ACCOUNT_EXISTS = EmailTemplate(__name__, "account_exists")
RESET_PASSWORD = EmailTemplate(__name__, "reset_password", link=EXAMPLE_LINK)
PASSWORD_CHANGED = EmailTemplate(__name__, "password_changed")
CONFIRM_EMAIL = EmailTemplate(__name__, "confirm_email", link=EXAMPLE_LINK)
EMAIL_CHANGED = EmailTemplate(__name__, "email_changed")


def check_address(to: str) -> None:
    """Reject an undeliverable email address while the client can still be notified.

    Raises:
        UnusableAddress: If no email can be sent to the address.
    """
    Email(to, "", "")


@deferred_email
async def registration(session: AsyncSession, *, email: str, name: str) -> Email:
    """Send the link that verifies the address of a new user, or inform the owner that they are already registered."""
    if await UserService(session).find(email):
        return ACCOUNT_EXISTS.render(email)
    secret = await PasswordRepository(session).add_registration(email, name)
    return VERIFY_EMAIL.render(email, link=_link("/verify-email", secret))


@deferred_email
async def reset_password(session: AsyncSession, *, email: str, requested_at: datetime) -> Email | None:
    """Send a link to choose a new password, if there is a user with the address."""
    user = await UserService(session).find(email)
    if user is None or not await _link_still_valid(session, user.id, email, requested_at):
        return None
    secret = await PasswordRepository(session).add_token(user.id, Purpose.RESET_PASSWORD, email)
    return RESET_PASSWORD.render(email, link=_link("/reset-password", secret))


@deferred_email
async def confirm_email(
    session: AsyncSession, *, user_id: UUID, old_email: str, email: str, requested_at: datetime
) -> Email | None:
    """Send the link that confirms a new email address."""
    if not await _link_still_valid(session, user_id, old_email, requested_at):
        return None
    secret = await PasswordRepository(session).add_token(user_id, Purpose.CHANGE_EMAIL, email)
    return CONFIRM_EMAIL.render(email, link=_link("/confirm-email", secret))


async def _link_still_valid(session: AsyncSession, user_id: UUID, email: str, requested_at: datetime) -> bool:
    """Return whether a link would still be valid if it had been created at the time of the request.

    A new password or a new address invalidates all links. A deferred email that is sent later must not
    create a valid one again.
    """
    repository = PasswordRepository(session)
    await repository.lock_account(user_id)
    user, password = await session.get(User, user_id), await repository.get(user_id)
    return user is not None and user.email == email and (password is None or password.changed_at <= requested_at)


def _link(path: str, token: str) -> str:
    """Return a link with the token after `#`: browsers do not send it, so it is in no log and no Referer."""
    return load(SecuritySettings).link(f"{path}#token={token}")
