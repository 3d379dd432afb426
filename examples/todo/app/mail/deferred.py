"""Deferred emails: built when they are sent, not when they are requested.

Emails contain links with secrets, of which the database stores only digests. A pending email must not contain the
secret, so it consists only of the name of the function that builds it, and its arguments.
"""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Concatenate, Generic, ParamSpec

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.session import Database, transaction
from app.mail.message import Email, UnusableAddress

P = ParamSpec("P")
Build = Callable[Concatenate[AsyncSession, P], Awaitable[Email | None]]

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class DeferredEmail:
    """A pending email: its builder, and the arguments, which may contain personal data."""

    builder: "EmailBuilder[...]"
    arguments: dict[str, Any] = field(repr=False)

    async def build(self, session: AsyncSession) -> Email | None:
        """Build the email in the transaction of `session`; return None if there is no longer a reason to send it."""
        return await self.builder.function(session, **self.arguments)


class EmailBuilder(Generic[P]):
    """A named function that builds an email. A call returns the pending email."""

    def __init__(self, function: Build[P]) -> None:
        """Use the function's module and name, so emails that are pending when it is renamed cannot be sent."""
        name: str = function.__name__  # ty: ignore[missing-attribute]
        self.name = f"{function.__module__}.{name}"
        self.function = function

    def __call__(self, *args: P.args, **arguments: P.kwargs) -> DeferredEmail:
        """Return an email to pass to `send`.

        Raises:
            TypeError: If the arguments do not fit the function.
        """
        if args:
            raise TypeError("Pass the arguments of a deferred email by name.")
        inspect.signature(self.function).bind(None, **arguments)
        return DeferredEmail(self, arguments)


def deferred_email(function: Build[P]) -> EmailBuilder[P]:
    """Make a function the builder of a deferred email.

    For example `async def welcome(session, *, user_id: UUID) -> Email | None`. It runs after the commit, in a separate
    transaction, and possibly again if sending fails. It returns None if there is no longer a reason to send the email.
    """
    return EmailBuilder(function)


async def build_email(database: Database, email: DeferredEmail) -> Email | None:
    """Build an email in a transaction, which is committed before the email is sent, so that its link works.

    Returns:
        The email, or None if there is nothing to send or the address is not supported; both are logged.
    """
    log = logger.bind(builder=email.builder.name)
    try:
        async with transaction(database.write) as session:
            built = await email.build(session)
    except UnusableAddress:
        log.error("email not sent", error="UnusableAddress")  # noqa: TRY400 - no traceback
        return None
    if built is None:
        log.info("deferred email skipped, nothing to send")
    return built
