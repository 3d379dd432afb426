"""Letters: mails that are written when they are sent, and not when they are asked for.

Mails carry links with secrets, of which the database holds digests only. A mail that waits
there must not give them away; so what waits is the name of a letter and its arguments.
"""

from collections.abc import Awaitable, Callable
from inspect import signature
from typing import Any, Concatenate, Generic, ParamSpec, get_type_hints

import structlog
from pydantic import ConfigDict, create_model
from sqlmodel.ext.asyncio.session import AsyncSession

from app.mail.message import Mail

P = ParamSpec("P")
Write = Callable[Concatenate[AsyncSession, P], Awaitable[Mail | None]]

_letters: dict[str, "Letter[...]"] = {}

logger = structlog.get_logger(__name__)


class Letter(Generic[P]):
    """A function that writes a mail. What it is given is kept as JSON meanwhile."""

    def __init__(self, write: Write[P]) -> None:
        """Note what the function takes."""
        name: str = write.__name__  # ty: ignore[missing-attribute]
        self.name = f"{write.__module__}.{name}"
        self._write = write
        hints = get_type_hints(write)
        _, *names = signature(write).parameters  # the first is the session
        fields: dict[str, Any] = {name: (hints[name], ...) for name in names}
        self._arguments = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)

    def pack(self, *args: P.args, **arguments: P.kwargs) -> dict[str, Any]:
        """Check the arguments, and return them as JSON has them.

        Raises:
            ValidationError: If they are not what the letter takes.
        """
        return self._arguments(*args, **arguments).model_dump(mode="json")

    async def write(self, session: AsyncSession, packed: dict[str, Any]) -> Mail | None:
        """Write the mail inside the transaction of `session`.

        Returns:
            The mail, or nothing if there is nobody or nothing left to write about.
        """
        mail = await self._write(session, **dict(self._arguments.model_validate(packed)))
        if mail is None:
            logger.info("letter dropped: what it was about is gone", letter=self.name)
        return mail


def letter(write: Write[P]) -> Letter[P]:
    """Make a letter of a function: `async def welcome(session, *, user_id: UUID) -> Mail | None`.

    It may run more than once, whenever the mail has to be tried again. Nothing to write about any more is not an
    error: it returns None.
    """
    made = Letter(write)
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
