"""Export and import of all rows, for moving data between SQLite and PostgreSQL.

An export is a consistent snapshot. An import is a single transaction: all rows or none.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import groupby, islice
from typing import BinaryIO

from sqlalchemy import Connection, MetaData, Table, func, insert, inspect, select, text
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import IntegrityError, OperationalError, StatementError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import Executable
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.base import Base
from app.db.lines import Content, Header, Line, Rows, TransferError, UnusableFile, read_header
from app.db.session import Database, transaction

BATCH = 500  # rows in memory at a time
REVISION_TABLE = "alembic_version"  # the migration state of this database, which is not exported

Report = Callable[[str], None]
Columns = Mapping[str, Collection[str]]


async def export_rows(database: Database, file: BinaryIO, report: Report, metadata: MetaData = Base.metadata) -> None:
    """Write a snapshot of all rows.

    Args:
        database: The source.
        file: The destination.
        report: Called with progress messages.
        metadata: The tables.

    Raises:
        TransferError: If the database is not migrated, or a value is not valid for other databases.
    """
    rows = Rows(metadata)
    async with transaction(database.snapshot) as session:
        # One snapshot for all statements; PostgreSQL would take a new one for each.
        connection = await session.connection(execution_options={"isolation_level": "SERIALIZABLE"})
        present = await _require_migrated(connection, rows)
        header = Header(format=1, tables={name: await _content(connection, rows, name) for name in rows.tables})
        file.write(header.line())
        for name, content in header.tables.items():
            await _write_all(connection, rows, name, file)
            report(f"{name}: {content.rows} rows")
    if left_out := _missing(present, {**_of_models(rows), REVISION_TABLE: present.get(REVISION_TABLE, ())}):
        report(f"Not exported, because no model has them: {', '.join(left_out)}")


async def import_rows(
    database: Database,
    file: Iterable[bytes],
    report: Report,
    metadata: MetaData = Base.metadata,
    batch_size: int = BATCH,
) -> None:
    """Insert all rows of a file into an empty database, in one transaction.

    Args:
        database: The destination.
        file: The lines of the file.
        report: Called with progress messages.
        metadata: The tables.
        batch_size: Rows per statement.

    Raises:
        InvalidSchemaFile: If the file is not a complete export of these tables.
        TransferError: If the database is not migrated or not empty, or rejects a row.
    """
    rows, lines = Rows(metadata), iter(file)
    header = read_header(next(lines, b""))
    _require_same_tables(header, rows)
    try:
        async with transaction(database.write) as session:
            connection = await session.connection()
            await _require_migrated(connection, rows)
            await _require_empty(connection, rows)
            before, after = around_import(connection.dialect, list(rows.tables.values()))
            await _execute(connection, before)
            await _insert_all(session, rows, header, lines, batch_size)
            await _execute(connection, after)
    except IntegrityError as error:  # deferred constraints are checked at the end
        raise TransferError(f"The rows do not fit together: {_reason(error)}") from None
    for name, content in header.tables.items():
        report(f"{name}: {content.rows} rows")


def around_import(dialect: Dialect, tables: Sequence[Table]) -> tuple[list[Executable], list[Executable]]:
    """Return the statements to run before and after an import of rows with explicit keys.

    A row may reference a later one, in the same table or in a cycle of tables, so such foreign
    keys are checked at the end. PostgreSQL's sequences continue after the highest number.
    """
    later = [
        constraint
        for place, table in enumerate(tables)
        for constraint in table.foreign_key_constraints
        if constraint.referred_table in tables[place:]
    ]
    if dialect.name == "sqlite":
        return [text("PRAGMA defer_foreign_keys = ON") for _ in later[:1]], []
    names = dialect.identifier_preparer
    keys = [
        f"ALTER TABLE {names.format_table(constraint.table)} ALTER CONSTRAINT {names.format_constraint(constraint)}"
        for constraint in later
        if not constraint.deferrable
    ]
    sequences = [
        select(func.setval(func.pg_get_serial_sequence(names.format_table(table), column.name), func.max(column)))
        for table in tables
        if (column := table.autoincrement_column) is not None
    ]
    return (
        [*(text(f"{key} DEFERRABLE") for key in keys), text("SET CONSTRAINTS ALL DEFERRED")],
        [text("SET CONSTRAINTS ALL IMMEDIATE"), *(text(f"{key} NOT DEFERRABLE") for key in keys), *sequences],
    )


async def _write_all(connection: AsyncConnection, rows: Rows, name: str, file: BinaryIO) -> None:
    found = await connection.stream(select(*rows.columns[name]).execution_options(yield_per=BATCH))
    try:
        async for row in found:
            file.write(rows.write(name, row))
    finally:  # `async with` does not close it after an exception
        await found.close()


async def _insert_all(
    session: AsyncSession, rows: Rows, header: Header, lines: Iterable[bytes], batch_size: int
) -> None:
    """Insert the rows in batches, and compare their numbers with the header."""
    found = Counter[str]()
    parsed = (rows.read(number, line) for number, line in enumerate(lines, start=2))
    for name, group in groupby(parsed, key=lambda line: line.table):
        while batch := list(islice(group, batch_size)):
            await _insert(session, rows.tables[name], batch)
            found[name] += len(batch)
    for name, content in header.tables.items():
        if found[name] != content.rows:
            raise UnusableFile(f"The file has {found[name]} of {content.rows} rows of {name}: it is incomplete.")


async def _insert(session: AsyncSession, table: Table, batch: Sequence[Line]) -> None:
    """Insert rows. If that fails, bisect the batch to find the row that is rejected."""
    try:
        async with session.begin_nested():
            await (await session.connection()).execute(insert(table), [line.values for line in batch])
    except OperationalError:  # the database is unavailable
        raise
    except StatementError as error:
        if len(batch) == 1:
            message = f"Line {batch[0].number}: the database rejects this row of {table.name}: {_reason(error)}"
            raise TransferError(message) from None
        middle = len(batch) // 2
        await _insert(session, table, batch[:middle])
        await _insert(session, table, batch[middle:])


def _reason(error: StatementError) -> str:
    """Return the error message without the values, which PostgreSQL adds on the second line."""
    return str(error.orig).splitlines()[0]


async def _execute(connection: AsyncConnection, statements: Iterable[Executable]) -> None:
    for statement in statements:
        await connection.execute(statement)


async def _content(connection: AsyncConnection, rows: Rows, name: str) -> Content:
    count = (await connection.execute(select(func.count()).select_from(rows.tables[name]))).scalar_one()
    return Content(columns=rows.names[name], rows=count)


async def _require_migrated(connection: AsyncConnection, rows: Rows) -> Columns:
    """Return the columns of all tables in the database, which must include those of the models."""
    present = await connection.run_sync(_columns)
    if missing := _missing(_of_models(rows), present):
        raise TransferError(f"The database does not have: {', '.join(missing)}.\nRun: app db upgrade")
    return present


def _of_models(rows: Rows) -> Columns:
    return {name: [column.name for column in table.columns] for name, table in rows.tables.items()}


def _columns(connection: Connection) -> Columns:
    tables = inspect(connection).get_multi_columns()
    return {name: [column["name"] for column in columns] for (_, name), columns in tables.items()}


def _missing(wanted: Columns, present: Columns) -> list[str]:
    """List missing tables, and missing columns of existing tables."""
    return [name for name in wanted if name not in present] + [
        f"{name}.{column}"
        for name in wanted
        if name in present
        for column in wanted[name]
        if column not in present[name]
    ]


def _require_same_tables(header: Header, rows: Rows) -> None:
    """Reject a file with other tables or columns: data would be lost or missing."""
    had = {name: content.columns for name, content in header.tables.items()}
    unlike = {"does not have": _missing(rows.names, had), "also has": _missing(had, rows.names)}
    if reasons := [f"It {what}: {', '.join(names)}." for what, names in unlike.items() if names]:
        reasons = ["The file was exported by another version of this project.", *reasons]
        raise UnusableFile(
            "\n".join([*reasons, "Export and import with the same version; migrate and update afterwards."])
        )


async def _require_empty(connection: AsyncConnection, rows: Rows) -> None:
    full = [name for name, table in rows.tables.items() if (await connection.execute(select(table).limit(1))).first()]
    if full:
        raise TransferError(
            f"These tables are not empty: {', '.join(full)}.\n"
            "Import into a new database: set DATABASE_URL to it, then app db upgrade."
        )
