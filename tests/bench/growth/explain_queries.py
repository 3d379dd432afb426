# ty: ignore[import-not-found]
"""Explain the PostgreSQL queries of a project. The queries are captured from its repositories, not written here."""

import json
import sys
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from app.core.config import load
from app.db.postgres import DatabaseSettings, database_url, open_database
from app.db.session import transaction
from sqlalchemy import Engine, event
from sqlmodel.ext.asyncio.session import AsyncSession

# Connections prepare frequent statements. After five executions, PostgreSQL may switch to a generic plan.
EXECUTIONS = 7

Case = Callable[[AsyncSession], Awaitable[object]]
Query = tuple[str, Mapping[str, Any]]
Read = dict[str, Any]  # "buffers", "rows", "nodes"


async def measure_growth(fill: str, sizes: list[int], cases: Callable[[int], Iterable[tuple[str, Case]]]) -> None:
    """Fill the tables to each size, and print as JSON what the queries of each case have read.

    Args:
        fill: SQL that inserts the rows with the numbers from `first` to `last`.
        sizes: The numbers of rows.
        cases: Returns the queries for a size.
    """
    results: dict[str, list[Read]] = {}
    settings, before = load(DatabaseSettings), 0
    url = database_url(settings).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        for size in sizes:
            connection.execute(fill, {"first": before + 1, "last": size})
            connection.execute("VACUUM ANALYZE")
            before = size
            async with open_database(settings) as database:
                for name, case in cases(size):
                    with captured_queries() as queries:
                        async with transaction(database.write) as session:
                            await case(session)
                    results.setdefault(name, []).append(explain(connection, queries[-1]))
    json.dump(results, sys.stdout)


@contextmanager
def captured_queries() -> Generator[list[Query]]:
    """Capture the queries that are sent during the block."""
    queries: list[Query] = []

    def capture(*sent: Any) -> None:
        _, _, statement, parameters, _, _ = sent
        queries.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", capture)
    try:
        yield queries
    finally:
        event.remove(Engine, "before_cursor_execute", capture)


def explain(connection: psycopg.Connection, query: Query) -> Read:
    """Run a prepared query several times, and return what the most expensive execution has read."""
    statement, parameters = query
    numbered = statement % {name: f"${number}" for number, name in enumerate(parameters, 1)}
    values = f"({', '.join(['%s'] * len(parameters))})" if parameters else ""
    connection.execute(f"PREPARE asked AS {numbered}")
    explained = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE asked{values}"
    rows = [connection.execute(explained, list(parameters.values())).fetchone() for _ in range(EXECUTIONS)]
    connection.execute("DEALLOCATE asked")
    return max((read(row[0][0]["Plan"]) for row in rows if row), key=lambda read: read["buffers"])


def read(plan: dict[str, Any]) -> Read:
    """Return the buffers that a plan has accessed, the rows of its scans, and its nodes."""
    nodes = list(_nodes(plan))
    return {
        "buffers": plan["Shared Hit Blocks"] + plan["Shared Read Blocks"],
        "rows": sum(_scanned_rows(node) for node in nodes if "Plans" not in node),
        "nodes": [" ".join(filter(None, (node["Node Type"], node.get("Index Name")))) for node in nodes],
    }


def _nodes(plan: dict[str, Any]) -> Generator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


def _scanned_rows(node: dict[str, Any]) -> float:
    """Return the rows of a scan, including those that were filtered out."""
    removed = sum(count for name, count in node.items() if name.startswith("Rows Removed"))
    return (node["Actual Rows"] + removed) * node["Actual Loops"]
