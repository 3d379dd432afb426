"""Distributes jobs to workers, with dramatiq on Redis.

Redis contains only the ids of jobs. Their contents and results are in the database, so if
Redis loses its data, the relay sends the jobs again. (Never delete single
keys from it: while the message of a job exists, the job counts as queued.) dramatiq provides the rest: prioritized
queues, the threads of a worker, and the recovery of messages from crashed workers.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar
from uuid import UUID

import structlog
from dramatiq import Actor, Message, Worker
from dramatiq.brokers.redis import RedisBroker
from redis import Redis
from redis.exceptions import RedisError

from app.jobs.runner import JobRunner
from app.jobs.settings import WorkerSettings
from app.jobs.task import Queue
from app.outbox.errors import describe_error
from app.outbox.models import OutboxMessage
from app.outbox.poller import DestinationUnavailable

ACTOR = "run_job"
# With dramatiq's defaults (60 s, 0.1 %), an idle queue did not recover messages within 100 seconds.
HEARTBEAT_TIMEOUT_MS = 15_000
MAINTENANCE_CHANCE = 100_000  # per million commands
STOP_MARGIN_SECONDS = 5.0  # after `stop_seconds`, if Redis does not accept the returned messages
POLL_INTERVAL_MS = 100  # maximum sleep of an idle worker between two polls

T = TypeVar("T")

logger = structlog.get_logger(__name__)


def make_broker(settings: WorkerSettings) -> RedisBroker:
    """Create a broker, which connects to Redis on first use.

    dramatiq's middleware is left out: retries, time limits, and ages are in the rows of jobs.
    """
    assert settings.redis_url is not None  # noqa: S101 - the callers check it
    url = settings.redis_url.get_secret_value()
    client = Redis.from_url(url, socket_timeout=10, socket_connect_timeout=3, socket_keepalive=True)
    return RedisBroker(
        client=client, middleware=[], heartbeat_timeout=HEARTBEAT_TIMEOUT_MS, maintenance_chance=MAINTENANCE_CHANCE
    )


class RedisDestination:
    """Queues jobs for workers in Redis, in dramatiq's data layout (see its dispatch.lua)."""

    def __init__(self, broker: RedisBroker) -> None:
        self.broker = broker

    async def send(self, rows: Sequence[OutboxMessage]) -> None:
        """Append the jobs that are not queued yet, in one transaction."""
        queued = await self.find_queued(rows)
        await self._run_in_thread(self._append, [row for row in rows if row.id not in queued])

    async def find_queued(self, rows: Sequence[OutboxMessage]) -> set[UUID]:
        """Return the ids of those of `rows` that are queued in Redis, or fetched by a worker."""
        return await self._run_in_thread(self._find_queued, rows)

    def _append(self, rows: Sequence[OutboxMessage]) -> None:
        with self.broker.client.pipeline() as pipe:
            for row in rows:
                message = message_for(row)
                pipe.hset(self._key(row.queue, ".msgs"), _message_id(row), message.encode())
                pipe.rpush(self._key(row.queue), _message_id(row))
            pipe.execute()

    def _find_queued(self, rows: Sequence[OutboxMessage]) -> set[UUID]:
        with self.broker.client.pipeline() as pipe:
            for row in rows:
                pipe.hexists(self._key(row.queue, ".msgs"), _message_id(row))
            return {row.id for row, exists in zip(rows, pipe.execute(), strict=True) if exists}

    def _key(self, queue: str, suffix: str = "") -> str:
        return f"{self.broker.namespace}:{queue}{suffix}"

    async def _run_in_thread(
        self, function: Callable[[Sequence[OutboxMessage]], T], rows: Sequence[OutboxMessage]
    ) -> T:
        try:
            return await asyncio.to_thread(function, rows)
        except RedisError as error:
            raise DestinationUnavailable(f"Redis: {error}") from error


def _message_id(row: OutboxMessage) -> str:
    """Return an id for a job and its attempt: the previous attempt's message may not be acknowledged yet."""
    return f"{row.id}:{row.attempts}"


def message_for(row: OutboxMessage) -> Message[None]:
    """Create the message that makes a worker run a job."""
    return Message(
        queue_name=row.queue,
        actor_name=f"{ACTOR}_{row.queue}",
        args=(str(row.id),),
        kwargs={},
        options={"redis_message_id": _message_id(row)},
    )


@asynccontextmanager
async def run_worker(
    broker: RedisBroker,
    runner: JobRunner,
    settings: WorkerSettings,
    queues: Sequence[Queue] = tuple(Queue),
    margin_seconds: float = STOP_MARGIN_SECONDS,
) -> AsyncGenerator[Worker]:
    """Run jobs in the background of the block. At its end, wait for running jobs, then release them.

    The jobs of earlier `queues` are run first.
    """
    loop = asyncio.get_running_loop()

    async def start_and_wait(job_id: str) -> None:
        await asyncio.wait({runner.start(UUID(job_id))})

    def run_job(job_id: str) -> None:
        """Run a job on the event loop, and wait for it in a thread of dramatiq."""
        asyncio.run_coroutine_threadsafe(start_and_wait(job_id), loop).result()

    for priority, queue in enumerate(queues):
        Actor(
            run_job,
            broker=broker,
            actor_name=f"{ACTOR}_{queue}",
            queue_name=queue,
            priority=priority,
            options={},
        )
    worker = Worker(broker, worker_timeout=POLL_INTERVAL_MS, worker_threads=settings.jobs)
    worker.start()
    try:
        yield worker
    finally:
        for thread in worker.workers:
            thread.stop()  # it then starts no more jobs, so those that are fetched return to Redis
        await runner.stop(settings.stop_seconds)
        await asyncio.to_thread(_stop_threads, worker, margin_seconds)
        broker.client.close()


def _stop_threads(worker: Worker, seconds: float) -> None:
    """Stop a worker, even if Redis is unavailable: its threads would wait forever, so they are abandoned."""
    try:
        worker.stop(timeout=round(seconds * 1000))
    except RedisError as error:
        logger.warning("Redis unavailable, queued jobs will be sent again", error=describe_error(error))
