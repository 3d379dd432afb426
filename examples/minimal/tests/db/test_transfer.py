"""Export and import of all rows."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Computed,
    Date,
    DateTime,
    Float,
    ForeignKey,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Table,
    Time,
    Uuid,
    delete,
    event,
    insert,
    select,
    text,
)
from sqlalchemy import Enum as EnumOf
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.sql import Executable

from app.core.config import load
from app.db import dialect, transfer
from app.db.base import NAMING_CONVENTION, Base, UtcDateTime, utc_now
from app.db.lines import TransferError, UnusableFile, python_type
from app.db.session import Database, transaction
from tests.conftest import run_in_thread

Edit = Callable[[list[str]], object]


class Colour(Enum):
    RED = "red"


USERS = Base.metadata.tables["user_account"]
SAMPLES: dict[Any, Callable[[int], Any]] = {
    UUID: lambda _: uuid4(),
    datetime: lambda number: utc_now() + timedelta(days=number, microseconds=1),
    date: lambda number: date(2030, 1, 1 + number),
    time: lambda number: time(number, 59, 59, 1),
    timedelta: lambda number: timedelta(days=number, seconds=1),
    str: lambda number: f"{number} Zoë\n☃",
    int: lambda number: number,
    float: lambda number: number + 0.1,
    Decimal: Decimal,
    bool: lambda number: number == 0,
    bytes: lambda number: bytes([number, 0, 255]),
}

ODD = MetaData(naming_convention=NAMING_CONVENTION)
KINDS = Table(
    "kinds",
    ODD,
    Column("id", Integer, primary_key=True),
    Column("moment", UtcDateTime),
    Column("local", DateTime),
    Column("day", Date),
    Column("hour", Time),
    Column("lasts", Interval),
    Column("schema", String(12)),  # not a valid field name in Pydantic
    Column("_private", Uuid),
    Column("small", SmallInteger),
    Column("big", BigInteger),
    Column("ratio", Float),
    Column("price", Numeric(10, 2)),
    Column("on", Boolean),
    Column("raw", LargeBinary),
    Column("colour", EnumOf(Colour, native_enum=False)),
    Column("anything", JSON, key="something"),
    Column("twice", BigInteger, Computed("big * 2", persisted=True)),
)
NODE = Table(
    "node",
    ODD,
    Column("id", Integer, primary_key=True),
    Column("parent", ForeignKey("node.id")),
)
EDGE = {
    "id": 1,
    "moment": datetime(1, 1, 2, tzinfo=UTC),
    "local": datetime(9999, 12, 31, 23, 59, 59, 999999),  # noqa: DTZ001
    "day": date(1969, 12, 31),
    "hour": time(23, 59, 59, 999999),
    "lasts": timedelta(days=-1, microseconds=7),
    "schema": "'\"\\ \t\n\u2028😀é",
    "_private": UUID(int=0),
    "small": -(2**15),
    "big": 2**60,
    "ratio": float("inf"),
    "price": Decimal("-0.10"),
    "on": False,
    "raw": bytes(range(256)),
    "colour": Colour.RED,
    "something": [{"deep": [1, 2.5, None, "ü"]}],
}


@pytest.fixture
async def live(committing_database: Database) -> AsyncGenerator[Database]:
    """The database of the tests with additional tables; it is emptied afterwards."""
    engine = committing_database.write.kw["bind"]
    async with engine.begin() as connection:
        await connection.run_sync(ODD.create_all)
    yield committing_database
    await empty(committing_database)
    async with engine.begin() as connection:
        await connection.run_sync(ODD.drop_all)


async def execute(database: Database, *statements: Executable) -> None:
    async with transaction(database.write) as session:
        connection = await session.connection()
        for statement in statements:
            await connection.execute(statement)


async def empty(database: Database) -> None:
    await execute(database, *map(delete, reversed(Base.metadata.sorted_tables)))


async def put(database: Database, table: Table, *rows: dict[str, Any]) -> None:
    await execute(database, *(insert(table).values(row) for row in rows))


async def rows_of(database: Database, table: Table) -> list[Any]:
    async with transaction(database.snapshot) as session:
        found = await (await session.connection()).execute(select(table))
        return [dict(zip(table.columns.keys(), row, strict=True)) for row in found]


async def exported(database: Database, metadata: MetaData = Base.metadata) -> list[str]:
    file = BytesIO()
    await transfer.export_rows(database, file, [].append, metadata)
    return file.getvalue().decode().splitlines(keepends=True)


async def imported(
    database: Database, lines: list[str], metadata: MetaData = Base.metadata, batch_size: int = transfer.BATCH
) -> list[str]:
    told: list[str] = []
    await transfer.import_rows(database, BytesIO("".join(lines).encode()), told.append, metadata, batch_size)
    return told


def sample(column: Column[Any], number: int, rows: dict[str, list[dict[str, Any]]]) -> Any:
    """Return a sample value for a column, which differs in each row; foreign keys refer to earlier rows."""
    if column.nullable and number == 0:
        return None
    for key in column.foreign_keys:
        return rows[key.column.table.name][number][key.column.name]
    kind, length = python_type(column), getattr(column.type, "length", None)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return list(kind)[number % len(kind)]
    return SAMPLES[kind](number)[:length] if kind is str else SAMPLES.get(kind, lambda number: {"is": number})(number)


async def fill(database: Database) -> None:
    """Insert three rows into each table of the project."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for table in Base.metadata.sorted_tables:
        for number in range(3):
            rows[table.name].append({column.key: sample(column, number, rows) for column in table.columns})
        await put(database, table, *rows[table.name])


async def test_rows_are_unchanged_after_export_and_import(live: Database) -> None:
    await fill(live)
    before = await exported(live)
    await empty(live)
    told = await imported(live, before)

    assert told == [f"{table.name}: 3 rows" for table in Base.metadata.sorted_tables]
    assert len(before) == 1 + 3 * len(told)
    assert sorted(await exported(live)) == sorted(before)


async def test_values_of_all_types_are_unchanged(live: Database) -> None:
    nothing = dict.fromkeys(EDGE, None) | {"id": 2}
    await put(live, KINDS, EDGE, nothing)
    before = await exported(live, ODD)
    await execute(live, delete(KINDS))
    await imported(live, before, ODD)

    first, second = await rows_of(live, KINDS)
    assert first == EDGE | {"twice": 2**61}
    assert second == nothing | {"twice": None}


async def test_export_is_a_consistent_snapshot(live: Database) -> None:
    class File(BytesIO):
        def write(self, line: Any) -> int:
            if self.tell() == 0:
                run_in_thread(asyncio.run, somebody_registers())
            return super().write(line)

    async def somebody_registers() -> None:
        async with dialect.open_database(load(dialect.DatabaseSettings)) as database:
            await fill(database)

    file = File()
    await transfer.export_rows(live, file, [].append)

    assert len(file.getvalue().splitlines()) == 1
    assert len(await exported(live)) > 1


async def test_rows_may_reference_later_rows(live: Database) -> None:
    header = (await exported(live, ODD))[0].replace('["id","parent"],"rows":0', '["id","parent"],"rows":2')
    child, parent = (
        json.dumps({"table": "node", "row": row}) for row in ({"id": 7, "parent": 8}, {"id": 8, "parent": None})
    )

    with pytest.raises(TransferError, match="The rows do not fit together: "):
        await imported(live, [header, f"{child}\n", child.replace("7", "9")], ODD, batch_size=1)
    assert await rows_of(live, NODE) == []

    await imported(live, [header, f"{child}\n", parent], ODD, batch_size=1)
    await put(live, NODE, {"parent": 8})
    assert [row["id"] for row in await rows_of(live, NODE)] == [7, 8, 9]
    with pytest.raises(IntegrityError):
        await put(live, NODE, {"parent": 99})


def test_import_statements_depend_on_the_database() -> None:
    in_sqlite = transfer.around_import(sqlite.dialect(), ODD.sorted_tables)
    in_postgres = transfer.around_import(postgresql.dialect(), ODD.sorted_tables)

    assert [[str(statement) for statement in part] for part in in_sqlite] == [["PRAGMA defer_foreign_keys = ON"], []]
    before, after = ([str(statement) for statement in part] for part in in_postgres)
    assert before == [
        "ALTER TABLE node ALTER CONSTRAINT fk_node_parent DEFERRABLE",
        "SET CONSTRAINTS ALL DEFERRED",
    ]
    assert after[:2] == [
        "SET CONSTRAINTS ALL IMMEDIATE",
        "ALTER TABLE node ALTER CONSTRAINT fk_node_parent NOT DEFERRABLE",
    ]
    assert ["setval(pg_get_serial_sequence(" in statement for statement in after[2:]] == [True, True]


def in_line(number: int, old: str, new: str) -> Edit:
    """Return a function that changes a line; the first line is 1."""

    def edit(lines: list[str]) -> None:
        assert old in lines[number - 1]
        lines[number - 1] = lines[number - 1].replace(old, new, 1)

    return edit


def of_users(*emails: str) -> list[dict[str, Any]]:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    return [
        {"id": UUID(int=n), "created_at": now, "updated_at": now, "version": 1, "email": email, "name": "Ada"}
        for n, email in enumerate(emails, start=1)
    ]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (list.clear, "The first line is not that of an export: is not JSON, or was cut off."),
        (lambda lines: lines.pop(0), "The first line is not that of an export: format: "),
        (in_line(1, '"format":1', '"format":2'), "The first line is not that of an export: format: "),
        (
            in_line(1, '"user_account":', '"people":'),
            "It does not have: user_account.\nIt also has: people.",
        ),
        (
            in_line(1, '"version","email"', '"version","mail"'),
            "not have: user_account.email.\nIt also has: user_account.mail.",
        ),
        (lambda lines: lines.pop(), "The file has 4 of 5 rows of user_account: it is incomplete."),
        (lambda lines: lines.append(lines[-1].replace("000005", "000006").replace("e@", "f@")), "has 6 of 5 rows"),
        (lambda lines: lines.__setitem__(-1, lines[-1][:-10]), "Line 6: is not JSON, or was cut off."),
        (lambda lines: lines.insert(2, "\n"), "Line 3: is not JSON, or was cut off."),
        (in_line(3, '"user_account"', '"people"'), "Line 3: Input tag 'people' found using 'table' does not match"),
        (in_line(3, '"email"', '"mail"'), "Line 3: user_account.email: Field required."),
        (in_line(3, '"email"', '"mail":1,"email"'), "Line 3: user_account.mail: Extra inputs are not permitted."),
        (in_line(3, '"name":"Ada"', '"name":null'), "Line 3: user_account.name: Input should be a valid string."),
        (in_line(3, "2030-01-01T", "2030-13-01T"), "Line 3: user_account.created_at: Input should be a valid datetime"),
        (in_line(3, '"version":1', '"version":2147483648'), "Line 3: user_account.version: Input should be less than"),
        (
            in_line(3, '"Ada"', f'"{101 * "a"}"'),
            "Line 3: user_account.name: String should have at most 100 characters.",
        ),
        (in_line(3, '"Ada"', '"\\u0000"'), "Line 3: user_account.name: contains a NUL character"),
        (in_line(5, "d@", "b@"), "Line 5: the database rejects this row of user_account: "),
        (in_line(4, "000003", "000001"), "Line 4: the database rejects this row of user_account: "),
        (in_line(4, '00:00Z"', '00:00"'), "Line 4: the database rejects this row of user_account: .* has no time zone"),
    ],
)
async def test_invalid_file_is_rejected_completely(live: Database, edit: Edit, said: str) -> None:
    await put(live, USERS, *of_users("a@a.de", "b@a.de", "c@a.de", "d@a.de", "e@a.de"))
    lines = await exported(live)
    await empty(live)
    edit(lines)

    with pytest.raises(TransferError, match=said):
        await imported(live, lines)
    assert await rows_of(live, USERS) == []


async def test_invalid_encoding_is_rejected(live: Database) -> None:
    header = (await exported(live))[0].encode()
    with pytest.raises(UnusableFile, match="Line 2: is not JSON"):
        await transfer.import_rows(live, [header, b'{"table": "\xff"}\n'], [].append)


async def test_non_empty_table_is_rejected(live: Database) -> None:
    await put(live, USERS, *of_users("a@a.de"))
    lines = await exported(live)

    with pytest.raises(TransferError, match=r"These tables are not empty: user_account\.\nImport into a new database"):
        await imported(live, lines)
    assert len(await rows_of(live, USERS)) == 1


async def test_database_without_migrations_is_rejected(live: Database) -> None:
    newer = MetaData()
    Table("node", newer, Column("id", Integer, primary_key=True), Column("name", String))
    Table("edge", newer, Column("id", Integer, primary_key=True))
    header = '{"format":1,"tables":{"node":{"columns":["id","name"],"rows":0},"edge":{"columns":["id"],"rows":0}}}'

    said = r"The database does not have: edge, node.name\.\nRun: app db upgrade"
    with pytest.raises(TransferError, match=said):
        await exported(live, newer)
    with pytest.raises(TransferError, match=said):
        await imported(live, [header], newer)


async def test_tables_without_a_model_are_not_exported(live: Database) -> None:
    told: list[str] = []
    await execute(live, text("ALTER TABLE user_account ADD COLUMN legacy INTEGER"))
    try:
        await transfer.export_rows(live, BytesIO(), told.append)
    finally:
        await execute(live, text("ALTER TABLE user_account DROP COLUMN legacy"))

    [last] = [line for line in told if "rows" not in line]
    assert last == "Not exported, because no model has them: kinds, node, user_account.legacy"


async def test_values_invalid_in_other_databases_are_not_exported(live: Database) -> None:
    stricter = MetaData()
    Table("kinds", stricter, Column("id", Integer, primary_key=True), Column("schema", String(3)))
    Table("node", stricter, Column("id", Integer, primary_key=True))
    await put(live, KINDS, EDGE)

    with pytest.raises(TransferError) as refused:
        await exported(live, stricter)
    assert str(refused.value) == (
        "kinds.schema: String should have at most 3 characters (in the row with id 1).\n"
        "Fix it in the database, then export again."
    )


async def test_lost_connection_is_not_reported_as_an_invalid_row(live: Database) -> None:
    await put(live, USERS, *of_users("a@a.de", "b@a.de"))
    lines = await exported(live)
    await empty(live)
    engine = live.write.kw["bind"].sync_engine

    def fail(_: Any, __: Any, statement: str, *___: Any) -> None:
        if statement.startswith("INSERT"):
            raise OperationalError(statement, None, Exception("server closed the connection"))

    event.listen(engine, "before_cursor_execute", fail)
    try:
        with pytest.raises(OperationalError):
            await imported(live, lines)
    finally:
        event.remove(engine, "before_cursor_execute", fail)
    assert await rows_of(live, USERS) == []
