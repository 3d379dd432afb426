"""Domain errors by kind. They know nothing of HTTP; `exception_handlers.py` does.

A module's own errors derive from a kind and say what happened: `EmailTaken(ConflictError)`.
The message is shown to clients, so it never carries anything internal.
"""

import re
from typing import ClassVar


class DomainError(Exception):
    """A request that cannot be done, for a reason its sender may know."""

    code: ClassVar[str] = "domain_error"
    message: ClassVar[str] = "The request cannot be done."

    def __init__(self, message: str | None = None) -> None:
        """Take the class's own message unless a better one is given."""
        super().__init__(message or self.message)

    def __init_subclass__(cls) -> None:
        """Derive the code clients may rely on: `EmailTaken` is `email_taken`."""
        cls.code = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__.removesuffix("Error")).lower()


class UnauthenticatedError(DomainError):
    """Nobody is signed in, or what was shown does not prove who it is."""

    message = "Sign in first."


class ForbiddenError(DomainError):
    """Whoever asks may not do this."""

    message = "You may not do this."


class NotFoundError(DomainError):
    """What was asked for is not there, or not for the one who asks."""

    message = "There is no such thing."


class ConflictError(DomainError):
    """The request contradicts the present state."""

    message = "The request contradicts the present state."


class InvalidError(DomainError):
    """A value is well-formed and still not usable."""

    message = "A value is not usable."


class PreconditionFailedError(DomainError):
    """The thing has changed since the client last saw it."""

    message = "It has changed since you read it. Read it again, then repeat the change."


class TooManyRequestsError(DomainError):
    """The same was tried too often in a short time."""

    message = "Too many requests. Try again later."

    def __init__(self, retry_after_seconds: int) -> None:
        """Say how long to wait."""
        super().__init__(f"Too many requests. Try again in {retry_after_seconds} s.")
        self.retry_after_seconds = retry_after_seconds


class UnavailableError(DomainError):
    """Something this service needs does not answer just now."""

    message = "The service cannot do this just now. Try again in a moment."
