"""Benchmark of background jobs: `uv run python -m tests.bench`.

Machines differ, so each figure is next to a reference that was measured alternately in the same
process. Compare these two, not figures of different days. The benchmark takes about a minute. It
uses the database and Redis of the tests, or those of DATABASE_URL and REDIS_URL; in the given
database server it creates a separate database.
"""

import asyncio
import logging
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog
import typer

from app.core.config import Environment
from app.db import migrations
from tests.bench import latency, relaying, requests
from tests.bench.environment import Figure, open_environment
from tests.database import create_database

BENCHMARKS = (requests.measure, relaying.measure, latency.measure)


def main() -> None:
    """Measure everything, and print a table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL does not run as root, but as another user
        os.environ |= {"DATABASE_URL": create_database(folder, "bench"), "ENV": Environment.TEST, "LOG_LEVEL": "ERROR"}
        redis_url = os.environ.pop("REDIS_URL", None)  # only the measured workers use it
        with ThreadPoolExecutor(1) as pool:  # it runs its own event loop
            pool.submit(migrations.upgrade).result()
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
        for figure in asyncio.run(_measure(folder, redis_url)):
            typer.echo(f"{figure.what:56} {figure.value:>12}   {figure.compared}".rstrip())


async def _measure(folder: Path, redis_url: str | None) -> list[Figure]:
    figures: list[Figure] = []
    async with open_environment(folder, redis_url) as environment:
        for measure in BENCHMARKS:
            figures += await measure(environment)
    return figures


if __name__ == "__main__":
    main()
