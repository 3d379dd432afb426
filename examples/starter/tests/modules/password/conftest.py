"""Fixtures for accounts with a password."""

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from app.mail import Email
from tests.mail.recording import record_emails


@pytest.fixture(autouse=True)
def fast_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use Argon2 with fast parameters; a hash would otherwise take a fifth of a second."""
    quick = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=1024, parallelism=1),))
    monkeypatch.setattr(PasswordHash, "recommended", lambda: quick)


@pytest.fixture(autouse=True)
def sent_emails(monkeypatch: pytest.MonkeyPatch) -> list[Email]:
    """The emails about passwords that are sent during the test."""
    return record_emails(monkeypatch, "app.modules.password.service")
