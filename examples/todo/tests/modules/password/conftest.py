"""Fixtures for accounts with a password."""

from collections.abc import Generator

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from app.mail import Email, use_backend
from tests.mail.recording import RecordingBackend


@pytest.fixture(autouse=True)
def fast_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use Argon2 with fast parameters; a hash would otherwise take a fifth of a second."""
    quick = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=1024, parallelism=1),))
    monkeypatch.setattr(PasswordHash, "recommended", lambda: quick)


@pytest.fixture(autouse=True)
def sent_emails() -> Generator[list[Email]]:
    """The emails about passwords that are sent during the test."""
    backend = RecordingBackend("app.modules.password.")
    with use_backend(backend):
        yield backend.emails
