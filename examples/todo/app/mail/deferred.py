"""Deferred emails: built when they are sent, not when they are requested.

Emails contain links with secrets, of which the database stores only digests. A pending email must not contain the
secret, so it consists only of a function that builds it, and the arguments of the function.
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, ParamSpec

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.session import Database, transaction
from app.mail.message import Email, UnusableAddress

P = ParamSpec("P")
Build = Callable[Concatenate[AsyncSession, P], Awaitable[Email | None]]

logger = structlog.get_logger(__name__)


class DeferredEmail:
    """A pending email. Its arguments may contain personal data."""

    def __init__(self, function: Build[...], /, **arguments: Any) -> None:
        """Check that the arguments fit the function.

        Raises:
            TypeError: If they do not.
        """
        inspect.signature(function).bind(None, **arguments)
        self.name: str = function.__name__  # ty: ignore[missing-attribute]
        self.function = function
        self.arguments = arguments

    async def build(self, session: AsyncSession) -> Email | None:
        """Build the email in the transaction of `session`; return None if there is no longer a reason to send it."""
        return await self.function(session, **self.arguments)


async def build_email(database: Database, email: DeferredEmail) -> Email | None:
    """Build an email in a transaction, which is committed before the email is sent, so that its link works.

    Returns:
        The email, or None if there is nothing to send or the address is not supported; both are logged.
    """
    log = logger.bind(deferred_email=email.name)
    try:
        async with transaction(database.write) as session:
            built = await email.build(session)
    except UnusableAddress:
        log.error("email not sent", error="UnusableAddress")  # noqa: TRY400 - no traceback
        return None
    if built is None:
        log.info("deferred email skipped, nothing to send")
    return built
