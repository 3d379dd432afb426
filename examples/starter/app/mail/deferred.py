"""Deferred emails: built when they are sent, not when they are requested.

Emails contain links with secrets, of which the database stores only digests. A queued email must not contain the
secret, so the queue stores only the name of the function that builds it, and its arguments.
"""

from collections.abc import Awaitable, Callable
from typing import Concatenate, Generic, ParamSpec

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from app.mail.message import Mail

P = ParamSpec("P")
Write = Callable[Concatenate[AsyncSession, P], Awaitable[Mail | None]]

_builders: dict[str, "EmailBuilder[...]"] = {}

logger = structlog.get_logger(__name__)


class EmailBuilder(Generic[P]):
    """A named function that builds an email."""

    def __init__(self, function: Write[P]) -> None:
        """Use the function's module and name, so emails queued before a rename cannot be sent."""
        name: str = function.__name__  # ty: ignore[missing-attribute]
        self.name = f"{function.__module__}.{name}"
        self.function = function

    async def write(self, session: AsyncSession, *args: P.args, **arguments: P.kwargs) -> Mail | None:
        """Build the email inside the transaction of `session`.

        Returns:
            The email, or None if there is no longer a reason to send it.
        """
        mail = await self.function(session, *args, **arguments)
        if mail is None:
            logger.info("deferred email skipped: nothing left to send", letter=self.name)
        return mail


def deferred_email(function: Write[P]) -> EmailBuilder[P]:
    """Register a function that builds a deferred email.

    For example `async def welcome(session, *, user_id: UUID) -> Mail | None`. It runs once per delivery attempt.
    If there is no longer a reason to send the email, it returns None; that is not an error.
    """
    made = EmailBuilder(function)
    _builders[made.name] = made
    return made


def get_builder(name: str) -> EmailBuilder[...]:
    """Return a deferred email by name.

    Raises:
        LookupError: If no deferred email has this name.
    """
    if name not in _builders:
        raise LookupError(f"There is no deferred email {name}. It may have been renamed while emails were queued.")
    return _builders[name]
