"""Password hashing and the validation of new passwords.

Both are CPU-intensive and run in threads, with limited concurrency: an Argon2 hash takes
64 MiB of memory and about 0.2 seconds.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, TypeVar

import anyio.to_thread
import structlog
from anyio import CapacityLimiter
from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pydantic import Field, SecretStr

from app.core.exceptions import InvalidError
from app.core.openapi import api_metadata
from app.jwt.settings import JwtSettings

T = TypeVar("T")

MAX_LENGTH = 128

# Score of zxcvbn, which recognizes common passwords, names, dictionary words, keyboard patterns and dates. Below 4,
# fewer than 10^10 guesses suffice: with this hash, half a century on one processor core, but only days on many.
REQUIRED_SCORE = 4

# Only the first characters are scored, because the time of zxcvbn grows much faster than the length: up to 0.15 seconds
# for 32 characters, but six seconds for 128. A password with a strong beginning is strong.
SCORED_LENGTH = 32

ADVICE = "Add another word or two. Uncommon words are better."

Password = Annotated[SecretStr, Field(min_length=1, max_length=MAX_LENGTH, examples=["orbit-walnut-teapot-47"])]

logger = structlog.get_logger(__name__)


class WeakPassword(InvalidError):
    """The new password is too short or easy to guess."""

    message = "The password is too weak."


class Passwords:
    """Hashes and verifies passwords, and validates new ones."""

    def __init__(self, settings: JwtSettings, hasher: PasswordHash | None = None) -> None:
        """Use Argon2id with the recommended parameters; tests may pass a faster hasher."""
        self._min_length = settings.password_min_length
        self._hasher = hasher or PasswordHash.recommended()
        self._hashing = CapacityLimiter(settings.hashing_threads)
        self._estimating = CapacityLimiter(1)  # zxcvbn is not thread-safe: it has global state

    async def hash(self, password: str) -> str:
        """Return the hash of a password."""
        return await self._in_thread(self._hasher.hash, _encode(password))

    async def verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        """Compare a password with the stored hash.

        Without a stored hash, the same work is done, so that the response time does not reveal whether a user
        exists. A password that exceeds the maximum length is wrong, and takes no longer than others.

        Args:
            password: The entered password.
            stored: The stored hash; None if there is no such user, or if they have no password.

        Returns:
            Whether the password matches, and a new hash to store if the current one is outdated.
        """
        entered = _encode(password[:MAX_LENGTH])
        if stored is not None and len(password) <= MAX_LENGTH:
            try:
                return await self._in_thread(self._hasher.verify_and_update, entered, stored)
            except UnknownHashError:
                logger.error("unreadable password hash")  # noqa: TRY400 - the traceback would contain the hash
        await self._in_thread(self._hasher.hash, entered)
        return False, None

    async def validate_new_password(self, password: str, *context: str) -> None:
        """Validate a new password by length and strength, not by character classes (NIST SP 800-63B-4 §3.1.1.2).

        Args:
            password: The new password.
            *context: Publicly known data of the user: email address, name. The name of the service is added.

        Raises:
            WeakPassword: If the password is too short, too long or easy to guess; the message contains advice.
        """
        text = _nfkc(password)
        if not self._min_length <= len(text) or len(password) > MAX_LENGTH:
            raise WeakPassword(
                f"Password must have {self._min_length} to {MAX_LENGTH} characters. A few words make a good one."
            )
        estimate = await self._in_thread(
            estimate_strength,
            text[:SCORED_LENGTH],
            _context_words((*context, api_metadata()["title"])),
            limiter=self._estimating,
        )
        if estimate["score"] < REQUIRED_SCORE:
            feedback = estimate["feedback"]
            advice = [feedback["warning"], *(feedback["suggestions"] or [ADVICE])]
            raise WeakPassword(" ".join(["The password is easy to guess.", *filter(None, advice)]))

    async def _in_thread(self, work: Callable[..., T], *arguments: Any, limiter: CapacityLimiter | None = None) -> T:
        return await anyio.to_thread.run_sync(work, *arguments, limiter=limiter or self._hashing)


def estimate_strength(text: str, words: Sequence[str]) -> dict[str, Any]:
    """Estimate with zxcvbn how hard a text is to guess.

    Its word lists take 12 MB of memory and 0.1 seconds to load, so they are imported on first use. Processes that only
    verify passwords never load them. `words` are additional words that are easy to guess.
    """
    from zxcvbn import zxcvbn  # noqa: PLC0415 - see above

    estimate: dict[str, Any] = zxcvbn(text, user_inputs=words)
    return estimate


def _nfkc(text: str) -> str:
    """Normalize Unicode, so that the same characters match regardless of how they were typed."""
    return unicodedata.normalize("NFKC", text)


def _encode(password: str) -> bytes:
    return _nfkc(password).encode("utf-8", "surrogatepass")


def _context_words(context: Iterable[str]) -> list[str]:
    """Return each text, truncated to the scored length, and the words in it."""
    texts = [_nfkc(text) for text in context]
    return sorted({word for text in texts for word in (text[:SCORED_LENGTH], *re.split(r"[\W_]+", text)) if word})
