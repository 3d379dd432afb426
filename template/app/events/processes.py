"""Background tasks for events in each process, while its app runs.

FastStream is imported only by the functions that use it, so API processes do not load it.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI

from app.core.health import add_check
from app.events import consumers, contracts, development
from app.events.kafka import Kafka
from app.events.relay import EventRelay
from app.events.replays import Replays
from app.outbox.processes import running
from app.outbox.relay import Relay


@asynccontextmanager
async def everything(app: FastAPI) -> AsyncGenerator[None]:
    """Run a broker, the relay, and the consumers in this process."""
    with development.broker(contracts.topics()) as address:
        app.state.kafka = app.state.kafka.model_copy(update={"bootstrap_servers": address})
        async with to_kafka(app) as relay, running(relay, app), consuming()(app):
            yield


@asynccontextmanager
async def to_kafka(app: FastAPI) -> AsyncGenerator[Relay]:
    """Connect to Kafka, and yield a relay to it."""
    kafka = Kafka(app.state.kafka.client())
    add_check(app, "kafka", lambda _: kafka.ping())
    try:
        yield EventRelay(app.state.database, kafka, app.state.outbox.poll_seconds)
    finally:
        kafka.close()


def consuming(*names: str) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Return a background task that runs the named consumers, or all, and handles their replayed dead letters.

    Raises:
        LookupError: If no consumer has one of the names.
    """
    from app.events.listening import listening, require_answer  # noqa: PLC0415 - see above

    chosen = [consumers.find(name) for name in names] or list(consumers.consumers())

    @asynccontextmanager
    async def consume(app: FastAPI) -> AsyncGenerator[None]:
        replays = Replays(app.state.database, app.state.outbox.poll_seconds, names)
        async with listening(app.state.database, app.state.kafka.client(), chosen) as broker, running(replays, app):
            add_check(app, "kafka", lambda _: require_answer(broker))
            yield

    return consume
