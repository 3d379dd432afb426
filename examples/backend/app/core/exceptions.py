"""Domain errors by kind. They are independent of HTTP; `exception_handlers.py` maps them to responses.

The errors of a module derive from one of these kinds: `EmailTaken(ConflictError)`.
Clients see the message, so it must not contain internal details.
"""

import re
from math import ceil
from typing import ClassVar


class DomainError(Exception):
    """Base class of errors that are reported to the client."""

    code: ClassVar[str] = "domain_error"
    message: ClassVar[str] = "The request cannot be processed."

    def __init__(self, message: str | None = None) -> None:
        """Use the message of the class unless another is given."""
        super().__init__(message or self.message)

    def __init_subclass__(cls) -> None:
        """Derive the stable error code from the class name: `EmailTaken` becomes `email_taken`."""
        cls.code = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__.removesuffix("Error")).lower()


class UnauthenticatedError(DomainError):
    """The request has no credentials, or invalid ones."""

    message = "Authentication required."


class ForbiddenError(DomainError):
    """The caller lacks permission."""

    message = "Forbidden."


class NotFoundError(DomainError):
    """The resource does not exist, or the caller may not see it."""

    message = "Resource not found."


class ConflictError(DomainError):
    """The request conflicts with the current state of the resource."""

    message = "The request conflicts with the current state of the resource."


class InvalidError(DomainError):
    """A value is well-formed but not acceptable."""

    message = "Invalid value."


class PreconditionFailedError(DomainError):
    """The resource has changed since the client read it."""

    message = "The resource has changed since you read it. Read it again, then repeat the change."


class TooManyRequestsError(DomainError):
    """The client exceeded a limit on the number of attempts."""

    message = "Too many requests. Try again later."

    def __init__(self, retry_after_seconds: int) -> None:
        """Set the time after which the client may try again."""
        minutes = ceil(retry_after_seconds / 60)
        wait = f"{minutes} minutes" if minutes > 1 else f"{retry_after_seconds} s"
        super().__init__(f"Too many requests. Try again in {wait}.")
        self.retry_after_seconds = retry_after_seconds


class UnavailableError(DomainError):
    """A dependency of the service is unavailable."""

    message = "The service is temporarily unavailable. Try again later."
