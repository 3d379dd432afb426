# ty: ignore[import-not-found]
"""Explains what a project asks of PostgreSQL. No query is written here: what the repositories send is caught."""

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

# A connection prepares what it sends often. After five times PostgreSQL may think of a plan for any values at all.
TIMES = 7

Case = Callable[[AsyncSession], Awaitable[object]]
Query = tuple[str, Mapping[str, Any]]
Read = dict[str, Any]  # "buffers", "rows", "nodes"


async def grow(fill: str, sizes: list[int], cases: Callable[[int], Iterable[tuple[str, Case]]]) -> None:
    """Fill the tables to each size in turn, and tell as JSON what each case has read then: a list by its name.

    Args:
        fill: SQL that adds what belongs to the numbers from `first` to `last`.
        sizes: How many of each there are to be.
        cases: Returns what is asked at a size.
    """
    told: dict[str, list[Read]] = {}
    settings, before = load(DatabaseSettings), 0
    url = database_url(settings).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        for size in sizes:
            connection.execute(fill, {"first": before + 1, "last": size})
            connection.execute("VACUUM ANALYZE")
            before = size
            async with open_database(settings) as database:
                for name, case in cases(size):
                    with caught() as queries:
                        async with transaction(database.writers) as session:
                            await case(session)
                    told.setdefault(name, []).append(explain(connection, queries[-1]))
    json.dump(told, sys.stdout)


@contextmanager
def caught() -> Generator[list[Query]]:
    """Catch what is sent while the block runs."""
    queries: list[Query] = []

    def catch(*sent: Any) -> None:
        _, _, statement, parameters, _, _ = sent
        queries.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", catch)
    try:
        yield queries
    finally:
        event.remove(Engine, "before_cursor_execute", catch)


def explain(connection: psycopg.Connection, query: Query) -> Read:
    """Run a query as often as a connection of the pool does, and tell what the dearest time has read."""
    statement, parameters = query
    numbered = statement % {name: f"${number}" for number, name in enumerate(parameters, 1)}
    values = f"({', '.join(['%s'] * len(parameters))})" if parameters else ""
    connection.execute(f"PREPARE asked AS {numbered}")
    explained = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE asked{values}"
    rows = [connection.execute(explained, list(parameters.values())).fetchone() for _ in range(TIMES)]
    connection.execute("DEALLOCATE asked")
    return max((read(row[0][0]["Plan"]) for row in rows if row), key=lambda read: read["buffers"])


def read(plan: dict[str, Any]) -> Read:
    """Tell how many buffers a plan has touched, how many rows its scans have seen, and what it consists of."""
    nodes = list(_nodes(plan))
    return {
        "buffers": plan["Shared Hit Blocks"] + plan["Shared Read Blocks"],
        "rows": sum(_seen(node) for node in nodes if "Plans" not in node),
        "nodes": [" ".join(filter(None, (node["Node Type"], node.get("Index Name")))) for node in nodes],
    }


def _nodes(plan: dict[str, Any]) -> Generator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


def _seen(node: dict[str, Any]) -> float:
    """Also those that it has thrown away."""
    removed = sum(count for name, count in node.items() if name.startswith("Rows Removed"))
    return (node["Actual Rows"] + removed) * node["Actual Loops"]
