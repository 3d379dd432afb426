"""The purge command; tests/test_cli.py tests the others."""

import logging
from collections.abc import AsyncGenerator, Generator
from datetime import timedelta

import pytest
import structlog
from sqlmodel import col, delete
from typer.testing import CliRunner, Result

from app.cli import app
from app.db.base import utc_now
from app.db.idempotency import IdempotencyKey
from app.db.session import Database, transaction
from tests.conftest import run_in_thread


@pytest.fixture(autouse=True)
def _logging_restored() -> Generator[None]:
    handlers = logging.getLogger().handlers[:]
    yield
    logging.getLogger().handlers[:] = handlers
    structlog.reset_defaults()


@pytest.fixture
async def expired(committing_database: Database) -> AsyncGenerator[None]:
    """An expired key and a valid one in the database."""
    async with transaction(committing_database.write) as session:
        for name, hours in (("old", -1), ("new", 1)):
            session.add(IdempotencyKey(id=name, fingerprint="", expires_at=utc_now() + timedelta(hours=hours)))
    yield
    async with transaction(committing_database.write) as session:
        await session.exec(delete(IdempotencyKey).where(col(IdempotencyKey.id) != ""))


def purge() -> str:
    result: Result = run_in_thread(CliRunner().invoke, app, ["db", "purge"])
    return result.output


@pytest.mark.usefixtures("expired")
def test_purge_reports_progress() -> None:
    assert purge() == "idempotency_key: 1 rows deleted\n1 expired rows deleted\n"
    assert purge() == "0 expired rows deleted\n"
