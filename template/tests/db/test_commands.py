"""The export and import commands."""

import logging
import stat
from collections.abc import AsyncGenerator, Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import delete, func, select
from typer.testing import CliRunner, Result

from app.cli import app
from app.db import transfer
from app.db.base import Base, utc_now
from app.db.commands import EXIT_DATA
from app.db.idempotency import IdempotencyKey
from app.db.lines import TransferError
from app.db.session import Database, transaction
from app.modules.user.models import User
from tests.conftest import run_in_thread


@pytest.fixture(autouse=True)
def _logging_restored() -> Generator[None]:
    handlers = logging.getLogger().handlers[:]
    yield
    logging.getLogger().handlers[:] = handlers
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
async def live(committing_database: Database) -> AsyncGenerator[Database]:
    """A database with one user."""
    async with transaction(committing_database.write) as session:
        session.add(User(email="ada@example.com", name="Ada"))
    yield committing_database
    await empty(committing_database)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "folder/data.jsonl"


async def empty(database: Database) -> None:
    async with transaction(database.write) as session:
        for table in reversed(Base.metadata.sorted_tables):
            await session.exec(delete(table))


async def users(database: Database) -> int:
    async with transaction(database.snapshot) as session:
        return (await (await session.connection()).execute(select(func.count()).select_from(User))).scalar_one()


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def run(*arguments: object, **options: Any) -> Result:
    result: Result = run_in_thread(lambda: CliRunner().invoke(app, ["db", *map(str, arguments)], **options))
    return result


async def test_data_is_exported_and_imported(live: Database, file: Path) -> None:
    away = run("export", file)
    assert (away.exit_code, away.stdout) == (0, "")
    assert "user_account: 1 rows\n" in away.stderr
    assert mode(file) == 0o600

    await empty(live)
    back = run("import", file)
    assert (back.exit_code, back.output) == (0, away.stderr)
    assert await users(live) == 1


async def test_data_is_exported_and_imported_through_pipes(live: Database) -> None:
    away = run("export", "-")
    await empty(live)
    back = run("import", "-", input=away.stdout_bytes)

    assert (away.exit_code, back.exit_code) == (0, 0)
    assert await users(live) == 1


async def test_purge_reports_progress(live: Database) -> None:
    async with transaction(live.write) as session:
        for name, hours in (("old", -1), ("new", 1)):
            session.add(IdempotencyKey(id=name, fingerprint="", expires_at=utc_now() + timedelta(hours=hours)))

    assert run("purge").output == "idempotency_key: 1 rows deleted\n1 expired rows deleted\n"
    assert run("purge").output == "0 expired rows deleted\n"


def test_existing_file_is_not_overwritten(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("precious", encoding="utf-8")
    result = run("export", file)

    assert (result.exit_code, result.output) == (1, f"{file} exists. Name another.\n")
    assert file.read_text(encoding="utf-8") == "precious"


def test_unwritable_file_is_explained(file: Path) -> None:
    file.parent.touch()
    result = run("export", file)

    assert result.exit_code == 1
    assert result.output.startswith("[Errno")


def test_failed_export_leaves_no_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: object, stream: Any, *__: object) -> None:
        stream.write(b"half")
        raise TransferError("This is why.")

    monkeypatch.setattr(transfer, "export_rows", fail)
    result = run("export", file)

    assert (result.exit_code, result.output) == (1, "This is why.\n")
    assert not file.exists()


async def test_invalid_file_is_not_imported(live: Database, file: Path) -> None:
    await empty(live)
    result = run("import", "-", input="nonsense")

    assert result.exit_code == EXIT_DATA
    assert result.output == "The first line is not that of an export: is not JSON, or was cut off.\n"
    assert run("import", file).exit_code == 2


async def test_import_requires_an_empty_database(live: Database, file: Path) -> None:
    run("export", file)
    result = run("import", file)

    assert result.exit_code == 1
    assert result.output.startswith("These tables are not empty: user_account.\n")
    assert await users(live) == 1


def test_help_describes_the_file() -> None:
    for command, said in (("export", "personal data and secrets"), ("import", "or, if one of them is rejected, none")):
        assert said in " ".join(run(command, "--help").output.split())
