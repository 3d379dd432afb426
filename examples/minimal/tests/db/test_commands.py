"""The purge command, and the transaction of commands; tests/test_cli.py tests the other commands."""

from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
from sqlmodel import col, delete, select

from app.db.base import utc_now
from app.db.commands import open_transaction
from app.db.idempotency import IdempotencyKey
from app.db.session import Database, transaction
from tests.command_line import run_command


@pytest.fixture
async def _expired_key(committing_database: Database) -> AsyncGenerator[None]:
    """An expired key and a valid one in the database."""
    async with transaction(committing_database.write) as session:
        for name, hours in (("old", -1), ("new", 1)):
            session.add(IdempotencyKey(id=name, fingerprint="", expires_at=utc_now() + timedelta(hours=hours)))
    yield
    async with transaction(committing_database.write) as session:
        await session.exec(delete(IdempotencyKey).where(col(IdempotencyKey.id) != ""))


def run_purge() -> str:
    return run_command("db", "purge").output


@pytest.mark.usefixtures("_expired_key")
def test_purge_reports_progress() -> None:
    assert run_purge() == "idempotency_key: 1 rows deleted\n1 expired rows deleted\n"
    assert run_purge() == "0 expired rows deleted\n"


@pytest.mark.usefixtures("_expired_key")
async def test_commands_read_in_transaction() -> None:
    async with open_transaction() as session:
        keys = (await session.exec(select(IdempotencyKey.id).order_by(IdempotencyKey.id))).all()
    assert keys == ["new", "old"]
