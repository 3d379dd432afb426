# ruff: noqa: INP001  a script, not a package
"""Copy all rows of a project from one database to another, for example from SQLite to PostgreSQL.

Run it in the folder of a project that uses PostgreSQL, as docs/how-to/postgresql.md describes:

    uv run python copy_database.py sqlite:///.data/app.db project

It uses the models and the drivers of the project. Therefore it has no inline metadata, with which uv would run it in a separate
environment, without the project.
"""

import argparse
import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

try:
    import app.main  # noqa: F401  imports all modules, and with them all tables
    from app.core.config import ConfigurationError, load
    from app.db import dialect
    from app.db.base import Base
except ModuleNotFoundError as error:
    sys.exit(f"{error}. Run this script in the folder of a project, with `uv run`.")

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Engine,
    String,
    Table,
    cast,
    create_engine,
    func,
    insert,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import ArgumentError, IntegrityError, OperationalError, StatementError
from sqlalchemy.sql import Executable

PROJECT = "project"
BATCH_SIZE = 500  # rows in memory at a time
REVISION_TABLE = "alembic_version"

Row = dict[str, Any]


class CopyError(Exception):
    """The rows cannot be copied. The target was not changed."""


def main(source: str, target: str) -> None:
    """Copy all rows, in one snapshot of the source and one transaction of the target."""
    tables = {table.name: table for table in Base.metadata.sorted_tables}
    with connect(source, "source", "BEGIN") as reading, connect(target, "target", "BEGIN IMMEDIATE") as writing:
        require_same_tables(reading, writing, tables)
        require_empty(writing, tables.values())
        before, after = around_copy(writing, list(tables.values()))
        for statement in before:
            writing.execute(statement)
        counts = {name: copy_rows(reading, writing, table) for name, table in tables.items()}
        try:
            for statement in after:
                writing.execute(statement)
            writing.commit()
        except IntegrityError as error:  # foreign keys that are checked at the end
            raise CopyError(f"The rows do not fit together: {first_line(error)}") from None
    for name, count in counts.items():
        print(f"{name}: {count} rows")  # noqa: T201


@contextmanager
def connect(address: str, role: str, begin: str) -> Generator[Connection]:
    """Open a connection with a transaction that is rolled back unless it is committed.

    Raises:
        CopyError: If the address is invalid or the database unavailable.
    """
    engine = open_engine(address, role)
    try:
        connection = engine.connect()
    except OperationalError as error:
        raise CopyError(f"The {role} is unavailable: {first_line(error)}") from None
    with connection:
        if engine.dialect.name == "sqlite":  # its driver begins transactions too late
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")
            connection.commit()
            connection.exec_driver_sql(begin)
        yield connection
    engine.dispose()


def open_engine(address: str, role: str) -> Engine:
    """Create an engine with the driver of the project: that of Python for SQLite, otherwise psycopg."""
    try:
        url = dialect.database_url(load(dialect.DatabaseSettings)) if address == PROJECT else make_url(address)
    except ArgumentError:  # it contains the address, which may contain a password
        raise CopyError(f"The {role} is not a URL.") from None
    if url.get_backend_name() == "sqlite":
        file = f"file:{quote(str(url.database))}"
        # Without `rw`, SQLite would create a missing file.
        return create_engine(url.set(drivername="sqlite", database=file, query={"mode": "rw", "uri": "true"}))
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise CopyError(f"The {role} is neither SQLite nor PostgreSQL.")
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        isolation_level="REPEATABLE READ",  # one snapshot for all statements
        connect_args={"options": "-c timezone=UTC"},
    )


def require_same_tables(source: Connection, target: Connection, tables: dict[str, Table]) -> None:
    """Require the same migration and all columns of the models in both databases.

    Raises:
        CopyError: If they differ.
    """
    for role, connection in (("source", source), ("target", target)):
        existing = {
            name: {column["name"] for column in columns}
            for (_, name), columns in inspect(connection).get_multi_columns().items()
        }
        missing = dict.fromkeys(
            f"{name}.{column.name}" if name in existing else name
            for name, table in tables.items()
            for column in table.columns
            if column.name not in existing.get(name, ())
        )
        if missing or REVISION_TABLE not in existing:
            raise CopyError(f"The {role} does not have: {', '.join(missing) or REVISION_TABLE}.\nRun: app db upgrade")
        if role == "source" and (others := existing.keys() - tables.keys() - {REVISION_TABLE}):
            print(f"Not copied, because no model has them: {', '.join(sorted(others))}", file=sys.stderr)  # noqa: T201
    versions = [
        sorted(connection.execute(text(f"SELECT version_num FROM {REVISION_TABLE}")).scalars())  # noqa: S608
        for connection in (source, target)
    ]
    if versions[0] != versions[1]:
        raise CopyError(
            f"The source is at migration {versions[0]}, the target at {versions[1]}.\nRun `app db upgrade` for both."
        )


def require_empty(target: Connection, tables: Iterable[Table]) -> None:
    """Require a target without rows.

    Raises:
        CopyError: If a table has rows.
    """
    if full := [
        table.name for table in tables if target.execute(select(text("1")).select_from(table).limit(1)).first()
    ]:
        raise CopyError(f"These tables of the target are not empty: {', '.join(full)}.\nUse a new database.")


def around_copy(target: Connection, tables: Sequence[Table]) -> tuple[list[Executable], list[Executable]]:
    """Return the statements to run before and after the insertion of rows with explicit keys.

    A row may reference a later one, in the same table or in a cycle of tables, so such foreign keys are checked at the
    end. PostgreSQL's sequences continue after the highest number.
    """
    if target.dialect.name == "sqlite":
        return [text("PRAGMA defer_foreign_keys = ON")], []
    names = target.dialect.identifier_preparer
    later = [
        f"ALTER TABLE {names.format_table(constraint.table)} ALTER CONSTRAINT {names.format_constraint(constraint)}"
        for place, table in enumerate(tables)
        for constraint in table.foreign_key_constraints
        if constraint.referred_table in tables[place:] and not constraint.deferrable
    ]
    sequences = [
        select(func.setval(func.pg_get_serial_sequence(names.format_table(table), column.name), func.max(column)))
        for table in tables
        if (column := table.autoincrement_column) is not None
    ]
    return (
        [*(text(f"{key} DEFERRABLE") for key in later), text("SET CONSTRAINTS ALL DEFERRED")],
        [text("SET CONSTRAINTS ALL IMMEDIATE"), *(text(f"{key} NOT DEFERRABLE") for key in later), *sequences],
    )


def copy_rows(source: Connection, target: Connection, table: Table) -> int:
    """Copy the rows of a table, and return their number."""
    columns = [column for column in table.columns if column.computed is None]
    for column in columns:
        if isinstance(column.type, JSON) and column.nullable:
            column.type.none_as_null = True  # or NULL would become a JSON null
    count = 0
    query = select(*columns).order_by(*table.primary_key)
    with source.execution_options(yield_per=BATCH_SIZE).execute(query) as result:
        while True:
            try:
                rows = result.fetchmany(BATCH_SIZE)
            except (ValueError, TypeError, LookupError):  # SQLite stores any value in any column
                raise CopyError(unreadable(source, table, columns, count)) from None
            if not rows:
                return count
            insert_rows(
                target, table, [dict(zip((column.key for column in columns), row, strict=True)) for row in rows]
            )
            count += len(rows)


def unreadable(source: Connection, table: Table, columns: Sequence[Column[Any]], first: int) -> str:
    """Describe the first row that cannot be read, from a position on."""
    order = table.primary_key.columns
    for place in range(first, first + BATCH_SIZE):
        try:
            source.execute(select(*columns).order_by(*order).offset(place).limit(1)).all()
        except (ValueError, TypeError, LookupError) as error:
            keys = select(*(cast(column, String).label(column.key) for column in order))
            key = source.execute(keys.order_by(*order).offset(place).limit(1)).mappings().one()
            return f"The source has an invalid value in {describe(table, key)} ({type(error).__name__}).\nCorrect it there."
    raise AssertionError(f"{table.name}: all rows can be read")


def insert_rows(target: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows. If that fails, bisect them to find the one that is rejected.

    Raises:
        CopyError: If a row is rejected.
    """
    try:
        with target.begin_nested():
            target.execute(insert(table), rows)
    except OperationalError:  # the database is unavailable
        raise
    except StatementError as error:
        if len(rows) == 1:
            row = describe(table, rows[0])
            raise CopyError(
                f"The target rejects {row}: {reason(table, rows[0], error)}.\nCorrect it in the source."
            ) from None
        middle = len(rows) // 2
        insert_rows(target, table, rows[:middle])
        insert_rows(target, table, rows[middle:])


def describe(table: Table, row: Any) -> str:
    """Name a row by its primary key."""
    return f"the row of {table.name} with " + ", ".join(
        f"{column.name} {row[column.key]}" for column in table.primary_key
    )


def reason(table: Table, row: Row, error: StatementError) -> str:
    """Explain why a row is rejected, without its values, which may be secrets."""
    for column in table.columns:
        value, length = row.get(column.key), getattr(column.type, "length", None)
        if isinstance(value, str) and "\0" in value:
            return f"{column.name} contains a NUL character"
        if isinstance(value, str) and length is not None and len(value) > length:
            return f"{column.name} has more than {length} characters"
    return first_line(error) if isinstance(error, IntegrityError) else type(error.orig).__name__


def first_line(error: StatementError) -> str:
    """Return the error message without the values, which PostgreSQL adds on the second line."""
    return str(error.orig).splitlines()[0]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help=f"URL of a database, or `{PROJECT}`: the database of the project's settings.")
    parser.add_argument("target", help="The same, for a database with the same migrations and without rows.")
    arguments = parser.parse_args()
    try:
        main(arguments.source, arguments.target)
    except (CopyError, ConfigurationError) as error:
        sys.exit(str(error))
    except OperationalError as error:
        sys.exit(f"Nothing was copied: {first_line(error)}")
    except ModuleNotFoundError as error:
        sys.exit(f"{error}. Run this script in a project that uses PostgreSQL.")
