"""Runs the migrations on the database of the settings."""

import asyncio
from datetime import date
from decimal import Decimal
from graphlib import TopologicalSorter
from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.rewriter import Rewriter
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import Column, Connection, Enum, String, literal
from sqlalchemy.sql.schema import ScalarElementColumnDefault
from sqlmodel.sql.sqltypes import AutoString

import app.main  # noqa: F401 - reaches every module, and with it every table
from app.core.config import Settings, load
from app.core.logging import configure_logging
from app.db import dialect
from app.db.base import Base, UtcDateTime

# SQLite's column types, and types that work with other databases, too. Migrations that drop a table contain them.
SQLITE_TYPES = {"CHAR(32)": "sa.Uuid()", "DATETIME": "sa.DateTime(timezone=True)"}
MIGRATION_LOCK = 5209270  # unique among the advisory locks of the database


def render_item(type_: str, item: Any, autogenerate: AutogenContext) -> str | Literal[False]:
    """Render custom column types as SQL types, so that migrations do not import the application."""
    if type_ == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if type_ == "type" and isinstance(item, AutoString):
        return f"sa.String(length={item.length})" if item.length else "sa.String()"
    if type_ == "type" and isinstance(item, Enum) and not item.native_enum:
        return f"sa.String(length={item.length})"
    if type_ == "type" and autogenerate.dialect is not None and autogenerate.dialect.name == "sqlite":
        return SQLITE_TYPES.get(str(item), False)
    return False


def compare_server_default(_context: object, _inspected: object, column: Column[Any], *_: object) -> bool | None:
    """Ignore defaults that only the database has, because `fill_new_column` adds some. None compares as usual."""
    return False if column.server_default is None else None


rewriter = Rewriter()


@rewriter.rewrites(ops.MigrationScript)
def order_drops(_context: object, _revision: object, script: ops.MigrationScript) -> ops.MigrationScript:
    """Drop referencing tables first. Alembic lists dropped tables in any order."""
    assert script.upgrade_ops is not None  # noqa: S101 - `revision --autogenerate` has one
    assert script.downgrade_ops is not None  # noqa: S101
    drops = {each.table_name: each for each in script.upgrade_ops.ops if isinstance(each, ops.DropTableOp)}
    referring: dict[str, set[str]] = {name: set() for name in drops}
    for name, drop in drops.items():
        for key in drop.to_table().foreign_key_constraints:
            target = key.elements[0].target_fullname.rpartition(".")[0]
            if target in drops and target != name:
                referring[target].add(name)
    others = [each for each in script.upgrade_ops.ops if not isinstance(each, ops.DropTableOp)]
    script.upgrade_ops.ops = [*others, *(drops[name] for name in TopologicalSorter(referring).static_order())]
    script.upgrade_ops.reverse_into(script.downgrade_ops)
    return script


def constant_default(column: Column[Any], migration: MigrationContext) -> str | None:
    """Return the default of the model as the database stores it, or None if it is not text, a number or a date."""
    if not isinstance(column.default, ScalarElementColumnDefault):
        return None
    value, process = column.default.arg, column.type.dialect_impl(migration.dialect).bind_processor(migration.dialect)
    value = process(value) if process else value
    if not isinstance(value, str | int | float | Decimal | date):
        return None
    return str(int(value) if isinstance(value, bool) else value)


@rewriter.rewrites(ops.AddColumnOp)
def fill_new_column(migration: MigrationContext, _revision: object, add: ops.AddColumnOp) -> ops.AddColumnOp:
    """Give a new required column a server default: existing rows need a value, and so do rows that old code adds."""
    column = add.column
    if isinstance(column.type, Enum) and column.type.native_enum:
        raise CommandError(
            f"The new column {add.table_name}.{column.name} is an enum. Store it as text: set sa_type=text_enum(...) of "
            "its field; see CONTRIBUTING.md, Change a table."
        )
    if not column.nullable and column.server_default is None:
        default = constant_default(column, migration)
        if default is None:
            raise CommandError(
                f"The new column {add.table_name}.{column.name} is required, but existing rows have no value for it. "
                "Give the field a default that is text, a number or a date, or make it optional; "
                "see CONTRIBUTING.md, Change a table."
            )
        quoted = f"'{default}'"  # Alembic strips these quotes
        add.column = Column(column.name, column.type, nullable=False, server_default=quoted, comment=column.comment)
    return add


@rewriter.rewrites(ops.DowngradeOps)
def restore_as_optional(_context: object, _revision: object, downgrade: ops.DowngradeOps) -> ops.DowngradeOps:
    """Restore dropped columns as optional ones, because their values are lost."""
    for change in downgrade.ops:
        for add in change.ops if isinstance(change, ops.ModifyTableOps) else ():
            if isinstance(add, ops.AddColumnOp) and add.column.server_default is None:
                add.column.nullable = True
    return downgrade


@rewriter.rewrites(ops.AlterColumnOp)
def fill_required_column(
    migration: MigrationContext, _revision: object, alter: ops.AlterColumnOp
) -> list[ops.MigrateOperation]:
    """Replace NULL by the default of the model before a column becomes required."""
    column = Base.metadata.tables[alter.table_name].columns[alter.column_name]
    default = None if alter.modify_nullable is not False else constant_default(column, migration)
    if default is None:
        return [alter]
    update = column.table.update().where(column.is_(None)).values({column: literal(default, String())})
    return [ops.ExecuteSQLOp(str(update.compile(compile_kwargs={"literal_binds": True}))), alter]


def migrate(connection: Connection) -> None:
    """Run the migrations on one connection, in one transaction."""
    sqlite = connection.dialect.name == "sqlite"
    if not sqlite:  # Replicas that migrate concurrently wait for the first. SQLite itself allows only one writer.
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
        connection.exec_driver_sql("SET LOCAL lock_timeout TO DEFAULT")
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_item=render_item,
        render_as_batch=sqlite,
        compare_server_default=compare_server_default,
        process_revision_directives=rewriter,
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
