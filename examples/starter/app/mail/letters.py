"""Letters: mails that are written when they are sent, and not when they are asked for.

Mails carry links with secrets, of which the database holds digests only. A mail that waits
there must not give them away; so what waits is the name of a letter and its arguments.
"""

from collections.abc import Awaitable, Callable
from typing import Concatenate, Generic, ParamSpec

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from app.mail.message import Mail

P = ParamSpec("P")
Write = Callable[Concatenate[AsyncSession, P], Awaitable[Mail | None]]

_letters: dict[str, "Letter[...]"] = {}

logger = structlog.get_logger(__name__)


class Letter(Generic[P]):
    """A function that writes a mail, and its name."""

    def __init__(self, function: Write[P]) -> None:
        """Name it after the function: renaming that leaves waiting mails behind."""
        name: str = function.__name__  # ty: ignore[missing-attribute]
        self.name = f"{function.__module__}.{name}"
        self.function = function

    async def write(self, session: AsyncSession, *args: P.args, **arguments: P.kwargs) -> Mail | None:
        """Write the mail inside the transaction of `session`.

        Returns:
            The mail, or nothing if there is nobody or nothing left to write about.
        """
        mail = await self.function(session, *args, **arguments)
        if mail is None:
            logger.info("letter dropped: what it was about is gone", letter=self.name)
        return mail


def letter(function: Write[P]) -> Letter[P]:
    """Make a letter of a function: `async def welcome(session, *, user_id: UUID) -> Mail | None`.

    It may run more than once, whenever the mail has to be tried again. Nothing to write about any more is not an
    error: it returns None.
    """
    made = Letter(function)
    _letters[made.name] = made
    return made


def find(name: str) -> Letter[...]:
    """Find a letter by name.

    Raises:
        LookupError: If there is none.
    """
    if name not in _letters:
        raise LookupError(f"There is no letter {name}: was it renamed or moved while mails were waiting?")
    return _letters[name]
