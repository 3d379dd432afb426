"""Benchmark of events: `uv run python -m tests.messaging.bench`.

Machines differ, so each figure is next to a reference that was measured alternately in the same
process. Compare these two, not figures of different days. The benchmark takes about a minute. It
uses the database and Kafka of the tests, or those of DATABASE_URL and KAFKA_BOOTSTRAP_SERVERS, where
it creates a separate database and topics.
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
from tests.database import create_database
from tests.messaging.bench import receiving, sending
from tests.messaging.bench.environment import open_environment

BENCHMARKS = (sending.requests, sending.relaying, receiving.consuming, receiving.latency)


def main() -> None:
    """Measure everything, and print a table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL does not run as root, but as another user
        servers = os.environ.pop("KAFKA_BOOTSTRAP_SERVERS", None)
        os.environ |= {"DATABASE_URL": create_database(folder, "bench"), "ENV": Environment.TEST, "LOG_LEVEL": "ERROR"}
        with ThreadPoolExecutor(1) as pool:  # it runs its own event loop
            pool.submit(migrations.upgrade).result()
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
        asyncio.run(_measure(servers))


async def _measure(servers: str | None) -> None:
    async with open_environment(servers) as environment:
        for measure in BENCHMARKS:
            for figure in await measure(environment):
                typer.echo(f"{figure.what:56} {figure.value:>12}   {figure.compared}".rstrip())


if __name__ == "__main__":
    main()
