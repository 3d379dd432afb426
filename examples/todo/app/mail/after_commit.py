"""Sending an email after the commit, so that none reports a change that is rolled back."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from sqlmodel.ext.asyncio.session import AsyncSession

from app.mail.deferred import DeferredEmail
from app.mail.message import Email


class EmailBackend(Protocol):
    """Keeps emails until the commit."""

    async def send(self, session: AsyncSession, email: Email | DeferredEmail) -> None:
        """Send an email after the transaction of `session` commits; discard it on rollback."""


_backends: list[EmailBackend] = []  # global, because event handlers have no access to the application


async def send(session: AsyncSession, email: Email | DeferredEmail) -> None:
    """Send an email after the transaction of `session` commits; a rollback discards it.

    Use a deferred email if it contains a secret, because a backend may store pending emails.

    Raises:
        RuntimeError: If no backend is active, or if the backend does not support savepoints (`begin_nested`).
    """
    if not _backends:
        raise RuntimeError("No email backend is active. The lifespan of the application must be running.")
    await _backends[-1].send(session, email)


def set_default_backend(backend: EmailBackend) -> None:
    """Use this backend unless another one is active."""
    _backends.insert(0, backend)


@contextmanager
def use_backend(backend: EmailBackend) -> Generator[None]:
    """Use this backend while the block runs."""
    _backends.append(backend)
    try:
        yield
    finally:
        _backends.remove(backend)
