"""Passwords: how they are hashed, and which ones are refused.

Both cost much processor time, so they run in threads, a few at a time: an Argon2 hash
takes 64 MiB and about a fifth of a second.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar

import anyio.to_thread
import structlog
from anyio import CapacityLimiter
from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pydantic import Field, SecretStr

from app.core.exceptions import InvalidError
from app.core.openapi import about
from app.jwt.guessing import judge
from app.jwt.settings import JwtSettings

T = TypeVar("T")

MAX_LENGTH = 128

# Steps of zxcvbn, which knows the common passwords of breaches, names, dictionaries, keyboards and dates. Below 4
# it takes less than 10^10 guesses: with this hash half a century on one processor core, but days on many.
REQUIRED_SCORE = 4

# Its time grows much faster than the length: a seventh of a second for 32 nasty characters, six seconds for 128. And
# a password whose beginning is hard to guess is hard to guess.
JUDGED_LENGTH = 32

ADVICE = "Add another word or two. Uncommon words are better."

Password = Annotated[SecretStr, Field(min_length=1, max_length=MAX_LENGTH, examples=["orbit-walnut-teapot-47"])]

logger = structlog.get_logger(__name__)


class WeakPassword(InvalidError):
    """The new password is too short or easy to guess."""

    message = "The password is too weak."


class Passwords:
    """Hashes passwords and compares them, and judges new ones."""

    def __init__(self, settings: JwtSettings, hasher: PasswordHash | None = None) -> None:
        """Hash with Argon2id, as its authors recommend; tests may bring something cheaper."""
        self._min_length = settings.password_min_length
        self._hasher = hasher or PasswordHash.recommended()
        self._hashing = CapacityLimiter(settings.hashing_threads)
        self._judging = CapacityLimiter(1)  # zxcvbn keeps the words of the present call in a global variable

    async def hash(self, password: str) -> str:
        """Return what is stored instead of the password."""
        return await self._in_thread(self._hasher.hash, _normalised(password))

    async def verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        """Compare a password with the stored hash.

        If there is none to compare with, the same work is done, so that the time does not tell. One that is longer
        than any that may be chosen is wrong, and costs no more than others.

        Args:
            password: What was entered.
            stored: The hash; None if there is no such account, or none with a password.

        Returns:
            Whether it is the one, and a new hash to be stored if the present one is out of date.
        """
        entered = _normalised(password[:MAX_LENGTH])
        if stored is not None and len(password) <= MAX_LENGTH:
            try:
                return await self._in_thread(self._hasher.verify_and_update, entered, stored)
            except UnknownHashError:
                logger.error("a stored password hash cannot be read")  # noqa: TRY400 - the traceback would show it
        await self._in_thread(self._hasher.hash, entered)
        return False, None

    async def check(self, password: str, *context: str) -> None:
        """Judge a new password, as NIST SP 800-63B-4 §3.1.1.2 has it: by length and by what is known, not by classes.

        Args:
            password: The new password.
            *context: What others know of its owner: address, name. That of this service is known here.

        Raises:
            WeakPassword: With advice.
        """
        text = _composed(password)
        if not self._min_length <= len(text) or len(password) > MAX_LENGTH:
            raise WeakPassword(f"Use {self._min_length} to {MAX_LENGTH} characters. A few words make a good password.")
        judged = await self._in_thread(
            judge, text[:JUDGED_LENGTH], _words((*context, about()["title"])), limiter=self._judging
        )
        if judged["score"] < REQUIRED_SCORE:
            feedback = judged["feedback"]
            advice = [feedback["warning"], *(feedback["suggestions"] or [ADVICE])]
            raise WeakPassword(" ".join(["The password is easy to guess.", *filter(None, advice)]))

    async def _in_thread(self, work: Callable[..., T], *arguments: Any, limiter: CapacityLimiter | None = None) -> T:
        return await anyio.to_thread.run_sync(work, *arguments, limiter=limiter or self._hashing)


def _composed(text: str) -> str:
    """Spell the same characters in the same way, however a keyboard puts them together."""
    return unicodedata.normalize("NFKC", text)


def _normalised(password: str) -> bytes:
    return _composed(password).encode("utf-8", "surrogatepass")


def _words(context: Iterable[str]) -> list[str]:
    """Take each text as a whole, as far as the password is judged, and its words."""
    texts = [_composed(text) for text in context]
    return sorted({word for text in texts for word in (text[:JUDGED_LENGTH], *re.split(r"[\W_]+", text)) if word})
