"""Emails are sent after the commit, so that none reports a change that is rolled back."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol

from sqlalchemy import event
from sqlalchemy.orm import Session
from sqlmodel.ext.asyncio.session import AsyncSession

from app.mail.deferred import EmailBuilder, P
from app.mail.message import Mail

Post = Callable[[Mail], None]

PENDING_EMAILS = "emails to send after the commit"


class MailBackend(Protocol):
    """A backend that keeps emails until the commit and sends them afterwards."""

    def send(self, session: AsyncSession, mail: Mail) -> None:
        """Send an email after the commit."""

    async def send_deferred_email(
        self, session: AsyncSession, letter: EmailBuilder[P], /, *args: P.args, **arguments: P.kwargs
    ) -> None:
        """Send a deferred email after the commit."""


class AfterCommitBackend:
    """Keeps emails in memory and passes them to `post` after the commit."""

    def __init__(self, post: Post) -> None:
        """Pass the emails to `post`."""
        self.post = post

    def send(self, session: AsyncSession, mail: Mail) -> None:
        """Keep an email with the session until the commit.

        Raises:
            RuntimeError: Inside `begin_nested`, because the savepoint could be rolled back separately.
        """
        if session.in_nested_transaction():
            raise RuntimeError("Emails cannot be sent inside begin_nested. Send them outside of it.")
        session.info.setdefault(PENDING_EMAILS, []).append((self.post, mail))

    async def send_deferred_email(
        self, session: AsyncSession, letter: EmailBuilder[P], /, *args: P.args, **arguments: P.kwargs
    ) -> None:
        """Build the email immediately, so that its database changes are part of this transaction."""
        if mail := await letter.write(session, *args, **arguments):
            self.send(session, mail)


_backends: list[MailBackend] = []  # global, because event handlers have no access to the application


def set_default_backend(way: MailBackend) -> None:
    """Use this backend unless another one is active."""
    _backends.insert(0, way)


@contextmanager
def use_post_function(post: Post) -> Generator[None]:
    """Pass emails to `post` after the commit, while the block runs."""
    way = AfterCommitBackend(post)
    _backends.append(way)
    try:
        yield
    finally:
        _backends.remove(way)


def send_email_after_commit(session: AsyncSession, mail: Mail) -> None:
    """Send an email after the transaction of `session` commits; a rollback discards it.

    With workers, its text is stored in the database until it is sent. Use a deferred email (`send_deferred_email`) if it
    contains a secret.

    Raises:
        RuntimeError: If no backend is active; without workers also inside `begin_nested`.
    """
    _current_backend().send(session, mail)


async def send_deferred_email(
    session: AsyncSession, letter: EmailBuilder[P], /, *args: P.args, **arguments: P.kwargs
) -> None:
    """Build and send a deferred email after the transaction of `session` commits.

    Without workers, it is built immediately, in this transaction.

    Raises:
        RuntimeError: If no backend is active; without workers also inside `begin_nested`.
    """
    await _current_backend().send_deferred_email(session, letter, *args, **arguments)


def _current_backend() -> MailBackend:
    if not _backends:
        raise RuntimeError("No email backend is active. The lifespan of app.mail.mailer must be running.")
    return _backends[-1]


@event.listens_for(Session, "after_commit")
def _send(session: Session) -> None:
    """Send the pending emails. SQLAlchemy also emits this event at the end of `begin_nested`, which is no commit."""
    if not session.in_nested_transaction():
        for post, mail in session.info.pop(PENDING_EMAILS, ()):
            post(mail)


@event.listens_for(Session, "after_rollback")
def _discard_pending(session: Session) -> None:
    if not session.in_nested_transaction():
        session.info.pop(PENDING_EMAILS, None)
