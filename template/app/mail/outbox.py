"""Mails wait for the commit: one that tells of something never leaves before it has happened."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from sqlalchemy import event
from sqlalchemy.orm import Session
from sqlmodel.ext.asyncio.session import AsyncSession

from app.mail.message import Mail

Post = Callable[[Mail], None]

WAITING = "mails that wait for the commit"

_posts: list[Post] = []  # event handlers know no app, so whoever sends at present is known here


@contextmanager
def posting(post: Post) -> Generator[None]:
    """Give the mails to `post` while the block runs."""
    _posts.append(post)
    try:
        yield
    finally:
        _posts.remove(post)


def send_after_commit(session: AsyncSession, mail: Mail) -> None:
    """Send a mail once the transaction of `session` has been committed, and never if it is rolled back.

    Raises:
        RuntimeError: If nobody sends mails, or inside `begin_nested`, which may be taken back alone.
    """
    if not _posts:
        raise RuntimeError("Nobody sends mails: the lifespan of app.mail does not run.")
    if session.in_nested_transaction():
        raise RuntimeError("Send the mail outside of begin_nested.")
    session.info.setdefault(WAITING, []).append((_posts[-1], mail))


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
