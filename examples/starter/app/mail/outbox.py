"""Mails wait for the commit: one that tells of something never leaves before it has happened."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol

from sqlalchemy import event
from sqlalchemy.orm import Session
from sqlmodel.ext.asyncio.session import AsyncSession

from app.mail.letters import Letter, P
from app.mail.message import Mail

Post = Callable[[Mail], None]

WAITING = "mails that wait for the commit"


class Way(Protocol):
    """How mails wait for the commit, and who sends them then."""

    def send(self, session: AsyncSession, mail: Mail) -> None:
        """Keep a mail until the commit."""

    async def send_letter(
        self, session: AsyncSession, letter: Letter[P], /, *args: P.args, **arguments: P.kwargs
    ) -> None:
        """Keep a letter until the commit."""


class InMemory:
    """Mails wait in this process, and are given to `post` after the commit."""

    def __init__(self, post: Post) -> None:
        """Give the mails to `post`."""
        self.post = post

    def send(self, session: AsyncSession, mail: Mail) -> None:
        """Keep a mail with the session.

        Raises:
            RuntimeError: Inside `begin_nested`, which may be taken back alone.
        """
        if session.in_nested_transaction():
            raise RuntimeError("Send the mail outside of begin_nested.")
        session.info.setdefault(WAITING, []).append((self.post, mail))

    async def send_letter(
        self, session: AsyncSession, letter: Letter[P], /, *args: P.args, **arguments: P.kwargs
    ) -> None:
        """Write the letter at once: what it changes belongs to this transaction."""
        if mail := await letter.write(session, *args, **arguments):
            self.send(session, mail)


_ways: list[Way] = []  # event handlers know no app, so whoever sends at present is known here


def by_default(way: Way) -> None:
    """Send this way whenever nobody sends in another."""
    _ways.insert(0, way)


@contextmanager
def posting(post: Post) -> Generator[None]:
    """Give the mails to `post`, after the commit, while the block runs."""
    way = InMemory(post)
    _ways.append(way)
    try:
        yield
    finally:
        _ways.remove(way)


def send_after_commit(session: AsyncSession, mail: Mail) -> None:
    """Send a mail once the transaction of `session` has been committed, and never if it is rolled back.

    With workers it waits in the database as it is. If it carries a secret, make a letter of it (`send_letter`).

    Raises:
        RuntimeError: If nobody sends mails; without workers also inside `begin_nested`.
    """
    _way().send(session, mail)


async def send_letter(session: AsyncSession, letter: Letter[P], /, *args: P.args, **arguments: P.kwargs) -> None:
    """Write and send a letter once the transaction of `session` has been committed.

    Without workers it is written at once, in this transaction.

    Raises:
        RuntimeError: If nobody sends mails; without workers also inside `begin_nested`.
    """
    await _way().send_letter(session, letter, *args, **arguments)


def _way() -> Way:
    if not _ways:
        raise RuntimeError("Nobody sends mails: the lifespan of app.mail.mailer does not run.")
    return _ways[-1]


@event.listens_for(Session, "after_commit")
def _send(session: Session) -> None:
    """Let the mails go. The event comes for the end of `begin_nested` too, which decides nothing."""
    if not session.in_nested_transaction():
        for post, mail in session.info.pop(WAITING, ()):
            post(mail)


@event.listens_for(Session, "after_rollback")
def _forget(session: Session) -> None:
    if not session.in_nested_transaction():
        session.info.pop(WAITING, None)
