"""Migrations: upgrades, downgrades, and the comparison with the models."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, Enum, MetaData, String, Table, Uuid, insert, select
from sqlalchemy.exc import DBAPIError
from sqlmodel import Field

from app.core.config import load
from app.db import dialect, migrations
from app.db.base import NAMING_CONVENTION, Base, text_enum
from tests.conftest import run_in_thread
from tests.database import create_database
from tests.waiting import TIMEOUT_SECONDS

REVISIONS = [revision.revision for revision in ScriptDirectory.from_config(migrations.config()).walk_revisions()][::-1]


@pytest.fixture
def use_empty_database(shared_folder: Path) -> Generator[None]:
    """An empty database, instead of the one of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DATABASE_URL")
        patch.setenv("DATABASE_URL", create_database(shared_folder, f"empty_{uuid4().hex}"))
        yield


@pytest.fixture
def versions(use_empty_database: None, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder with the migrations, in the working directory."""
    shutil.copytree(project / "alembic", tmp_path / "alembic")
    shutil.copy(project / "alembic.ini", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "alembic/versions"


def in_database(work: Callable[[Connection], Any]) -> Any:
    """Call the function with a connection, and commit."""

    async def run() -> Any:
        engine = dialect.migration_engine(load(dialect.DatabaseSettings))
        try:
            async with engine.begin() as connection:
                return await connection.run_sync(work)
        finally:
            await engine.dispose()

    return run_in_thread(lambda: asyncio.run(run()))


ALTER_TABLE_MIGRATION = '''
"""Change a table that another table references."""

import sqlalchemy as sa
from alembic import op

revision = "rebuild"
down_revision = "{newest}"


def upgrade() -> None:
    op.create_table("parent", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("name", sa.String(length=100)))
    op.create_table(
        "child", sa.Column("parent", sa.Integer(), sa.ForeignKey("parent.id", ondelete="CASCADE"), primary_key=True)
    )
    op.execute("INSERT INTO parent (id, name) VALUES (1, 'Ada')")
    op.execute("INSERT INTO child (parent) VALUES (1)")
    with op.batch_alter_table("parent") as table:
        table.alter_column("name", type_=sa.String(length=120), existing_type=sa.String(length=100))
    assert op.get_bind().execute(sa.text("SELECT count(*) FROM child")).scalar() == 1
'''


def test_altering_a_table_keeps_referencing_rows(versions: Path) -> None:
    (versions / "rebuild.py").write_text(ALTER_TABLE_MIGRATION.format(newest=REVISIONS[-1]), encoding="utf-8")

    run_in_thread(migrations.upgrade)


LINKED_TABLES_MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "chain"
down_revision = "{newest}"


def upgrade() -> None:
    op.create_table("link_0", sa.Column("id", sa.Uuid(), primary_key=True))
    for number in range(1, 6):
        refers = sa.ForeignKey(f"link_{{number - 1}}.id", name=f"fk_link_{{number}}")
        op.create_table(f"link_{{number}}", sa.Column("id", sa.Uuid(), refers, primary_key=True))
"""


def test_generated_migration_drops_referencing_tables_first(versions: Path) -> None:
    (versions / "chain.py").write_text(LINKED_TABLES_MIGRATION.format(newest=REVISIONS[-1]), encoding="utf-8")

    run_in_thread(migrations.generate, "without links")
    run_in_thread(migrations.upgrade)
    run_in_thread(migrations.downgrade, "-1")
    [written] = versions.glob("*without_links*")
    dropped = re.findall(r"op\.drop_table\(.link_(\d)", written.read_text(encoding="utf-8"))
    assert dropped == ["5", "4", "3", "2", "1", "0"]


class Priority(StrEnum):
    LOW = "low"
    NOT_URGENT = "not urgent"


class Level(IntEnum):
    HIGH = 10


class OtherBase(Base):
    metadata = MetaData(naming_convention=NAMING_CONVENTION)


class Thing(OtherBase, table=True):
    """The table of the next tests, after the change."""

    __tablename__ = "thing"

    id: int = Field(primary_key=True)
    name: str = Field(default="nobody's", max_length=50)
    priority: Priority = Field(default=Priority.NOT_URGENT, sa_type=text_enum(Priority))
    level: Level = Field(default=Level.HIGH, sa_type=text_enum(Level))
    color: str = Field(default="100% 'red'")
    size: int = 3
    weight: float = 0.5
    price: Decimal = Decimal("1.5")
    broken: bool = True
    comment: str | None = None


THING = OtherBase.metadata.tables["thing"]


@pytest.fixture
def change_thing(versions: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replace the columns of the table `thing` in the models, then generate and apply the migration."""

    def change(*columns: Column[Any]) -> None:
        metadata = MetaData(naming_convention=NAMING_CONVENTION)
        for table in Base.metadata.tables.values():
            if table.name != "thing":
                table.to_metadata(metadata)
        Table("thing", metadata, *(column._copy() for column in columns))
        monkeypatch.setattr(Base, "metadata", metadata)
        with pytest.raises(migrations.MigrationError):
            run_in_thread(migrations.check)
        run_in_thread(migrations.generate, f"change {len(columns)}")
        run_in_thread(migrations.upgrade)
        run_in_thread(migrations.check)

    return change


def test_new_required_columns_are_filled_with_their_defaults(change_thing: Callable[..., None]) -> None:
    change_thing(THING.c.id, Column("name", String(50)))
    in_database(lambda connection: connection.exec_driver_sql("INSERT INTO thing (id) VALUES (1)"))
    change_thing(*THING.columns)

    for _ in range(2):
        [row] = in_database(lambda connection: connection.execute(select(THING)).all())
        assert row._mapping == Thing(id=1).model_dump()
        run_in_thread(migrations.downgrade, "-1")
        run_in_thread(migrations.upgrade)


def test_new_required_column_without_constant_default_is_rejected(
    change_thing: Callable[..., None], versions: Path
) -> None:
    change_thing(THING.c.id)
    for default in (None, uuid4):
        with pytest.raises(migrations.MigrationError, match=r"thing\.owner is required, but existing rows"):
            change_thing(THING.c.id, Column("owner", Uuid(), nullable=False, default=default))

    assert list(versions.glob("*_change_2.py")) == []


def test_dropped_column_is_optional_after_downgrade(change_thing: Callable[..., None]) -> None:
    change_thing(THING.c.id, THING.c.name)
    in_database(lambda connection: connection.exec_driver_sql("INSERT INTO thing (id, name) VALUES (1, 'Ada')"))
    change_thing(THING.c.id)
    run_in_thread(migrations.downgrade, "-1")

    assert in_database(lambda connection: connection.execute(select(THING.c.id, THING.c.name)).all()) == [(1, None)]


def test_enum_is_stored_by_value(change_thing: Callable[..., None]) -> None:
    change_thing(*THING.columns)
    in_database(lambda connection: connection.execute(insert(THING).values(id=1)))

    stored = in_database(lambda connection: connection.exec_driver_sql("SELECT priority, level FROM thing").all())
    assert stored == [("not urgent", "10")]


def test_new_column_with_database_enum_is_rejected(change_thing: Callable[..., None]) -> None:
    change_thing(THING.c.id)
    with pytest.raises(migrations.MigrationError, match=r"thing\.priority is an enum\. Store it as text"):
        change_thing(THING.c.id, Column("priority", Enum(Priority)))


def test_concurrent_upgrades_wait_for_each_other(use_empty_database: None) -> None:
    command = [Path(sys.executable).with_name("app"), "db", "upgrade"]
    limits = {"DATABASE_LOCK_TIMEOUT_MS": "1", "DATABASE_BUSY_TIMEOUT_MS": "1"}  # do not apply to this wait
    upgrades = [subprocess.Popen(command, env=os.environ | limits, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    logs = [upgrade.communicate(timeout=TIMEOUT_SECONDS)[1] for upgrade in upgrades]

    assert [upgrade.returncode for upgrade in upgrades] == [0] * 4, logs
    assert "".join(logs).count("Running upgrade") == len(REVISIONS)


VALUES = {
    bool: True,
    bytes: b"1",
    date: date(2030, 1, 1),
    datetime: datetime(2030, 1, 1, tzinfo=UTC),
    Decimal: 1,
    dict: {},
    float: 1.0,
    int: 1,
    list: [],
    str: "1",
    UUID: UUID(int=1),
}


def add_rows(connection: Connection) -> int:
    """Insert a row into each empty table, with values in required columns only, and return the number of rows.

    Tables that reject such a row stay empty, for example because of a CHECK constraint.
    """
    metadata, added = MetaData(), 0
    metadata.reflect(connection)
    for table in metadata.sorted_tables:
        if connection.execute(select(table)).first() is None:
            with suppress(DBAPIError, NotImplementedError), connection.begin_nested():
                connection.execute(insert(table).values({column: value(column) for column in required(table)}))
                added += 1
    return added


def required(table: Table) -> list[Column[Any]]:
    return [column for column in table.columns if not column.nullable and column.server_default is None]


def value(column: Column[Any]) -> Any:
    for key in column.foreign_keys:
        return select(key.column).limit(1).scalar_subquery()
    return VALUES.get(column.type.python_type)


def test_each_migration_upgrades_and_downgrades_with_rows(use_empty_database: None) -> None:
    added = 0
    for revision in REVISIONS:
        run_in_thread(migrations.upgrade, revision)
        added += in_database(add_rows)
        run_in_thread(migrations.downgrade, "-1")
        run_in_thread(migrations.upgrade, revision)
        added += in_database(add_rows)
    assert added > 0
    run_in_thread(migrations.check)
    run_in_thread(migrations.downgrade, "base")
