"""Fixtures for accounts with a password."""

from collections.abc import Generator

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from app.mail import Mail
from app.mail.outbox import use_post_function


@pytest.fixture(autouse=True)
def fast_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use Argon2 with fast parameters; a hash would otherwise take a fifth of a second."""
    quick = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=1024, parallelism=1),))
    monkeypatch.setattr(PasswordHash, "recommended", lambda: quick)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the work after the response without a delay."""
    monkeypatch.setattr("app.modules.password.dependencies.DELAY_SECONDS", (0, 0))


@pytest.fixture(autouse=True)
def sent_emails() -> Generator[list[Mail]]:
    """The emails sent during the test."""
    sent: list[Mail] = []
    with use_post_function(sent.append):
        yield sent
