"""Runs the migrations on the database of the settings."""

import asyncio
from graphlib import TopologicalSorter
from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import DropTableOp, MigrationScript
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlmodel.sql.sqltypes import AutoString

import app.main  # noqa: F401 - reaches every module, and with it every table
from app.core.config import Settings, load
from app.core.logging import configure_logging
from app.db import dialect
from app.db.base import Base, UtcDateTime

# SQLite's column types, and types that work with other databases, too. Migrations that drop a table contain them.
SQLITE_TYPES = {"CHAR(32)": "sa.Uuid()", "DATETIME": "sa.DateTime(timezone=True)"}


def render_item(type_: str, item: Any, autogenerate: AutogenContext) -> str | Literal[False]:
    """Render custom column types as SQL types, so that migrations do not import the application."""
    if type_ == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if type_ == "type" and isinstance(item, AutoString):
        return f"sa.String(length={item.length})" if item.length else "sa.String()"
    if type_ == "type" and autogenerate.dialect is not None and autogenerate.dialect.name == "sqlite":
        return SQLITE_TYPES.get(str(item), False)
    return False


def order_drops(_context: object, _revision: object, scripts: list[MigrationScript]) -> None:
    """Drop referencing tables first. Alembic lists dropped tables in any order."""
    for script in scripts:
        assert script.upgrade_ops is not None  # noqa: S101 - `revision --autogenerate` has one
        assert script.downgrade_ops is not None  # noqa: S101
        drops = {each.table_name: each for each in script.upgrade_ops.ops if isinstance(each, DropTableOp)}
        referring: dict[str, set[str]] = {name: set() for name in drops}
        for name, drop in drops.items():
            for key in drop.to_table().foreign_key_constraints:
                target = key.elements[0].target_fullname.rpartition(".")[0]
                if target in drops and target != name:
                    referring[target].add(name)
        others = [each for each in script.upgrade_ops.ops if not isinstance(each, DropTableOp)]
        script.upgrade_ops.ops = [*others, *(drops[name] for name in TopologicalSorter(referring).static_order())]
        script.upgrade_ops.reverse_into(script.downgrade_ops)


def migrate(connection: Connection) -> None:
    """Run the migrations on one connection, in one transaction."""
    sqlite = connection.dialect.name == "sqlite"
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_item=render_item,
        render_as_batch=sqlite,
        compare_server_default=True,
        process_revision_directives=order_drops,
    )
    with context.begin_transaction():
        context.run_migrations()
    # SQLite migrates without foreign key checks, so check them here.
    if sqlite and (orphans := connection.exec_driver_sql("PRAGMA foreign_key_check").all()):
        raise CommandError(f"The migration violates foreign keys and was rolled back: {orphans[:5]}")


async def connect_and_migrate() -> None:
    """Open the database of the settings and migrate it."""
    configure_logging(load(Settings))
    engine = dialect.migration_engine(load(dialect.DatabaseSettings))
    try:
        async with engine.begin() as connection:
            await connection.run_sync(migrate)
    finally:
        await engine.dispose()


asyncio.run(connect_and_migrate())
