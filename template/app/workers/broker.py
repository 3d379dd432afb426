"""dramatiq on Redis: who does which job next.

Redis holds the ids of jobs and nothing else. What a job is stands in the database, and
so does how it ended; Redis may forget everything, the relay sends it again. (Only single
keys must not go: a job whose message is there passes for one that waits.) dramatiq brings
what remains: queues and their order, a worker's threads, and a place where the messages
of a worker that has died come back from.
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

from app.outbox.models import OutboxEvent
from app.outbox.relay import Unavailable
from app.workers.runner import Runner
from app.workers.settings import WorkerSettings
from app.workers.task import Queue

ACTOR = "run_job"
# With dramatiq's own values (60 s, 0.1 %) an idle queue did not get them back within 100 seconds.
HEARTBEAT_TIMEOUT_MS = 15_000
MAINTENANCE_CHANCE = 100_000  # of a million commands
GIVE_UP_SECONDS = 5.0  # after the time for jobs under way, if Redis does not even take them back
IDLE_MS = 100  # how long an idle worker sleeps, at most, before it looks again

T = TypeVar("T")

logger = structlog.get_logger(__name__)


def make_broker(settings: WorkerSettings) -> RedisBroker:
    """Connect to Redis when it is first used. dramatiq's own middlewares stay out: jobs have all that in their rows."""
    assert settings.redis_url is not None  # noqa: S101 - whoever calls has looked
    url = settings.redis_url.get_secret_value()
    client = Redis.from_url(url, socket_timeout=10, socket_connect_timeout=3, socket_keepalive=True)
    return RedisBroker(
        client=client, middleware=[], heartbeat_timeout=HEARTBEAT_TIMEOUT_MS, maintenance_chance=MAINTENANCE_CHANCE
    )


class RedisDestination:
    """Hands jobs to the workers, by dramatiq's own layout of Redis (its dispatch.lua explains it)."""

    def __init__(self, broker: RedisBroker) -> None:
        """Send through `broker`."""
        self.broker = broker

    async def send(self, events: Sequence[OutboxEvent]) -> None:
        """Append to the queues what is not there yet, all of it at once."""
        held = await self.holding(events)
        await self._in_a_thread(self._append, [event for event in events if event.id not in held])

    async def holding(self, events: Sequence[OutboxEvent]) -> set[UUID]:
        """Tell which of them wait in Redis, or are with a worker."""
        return await self._in_a_thread(self._find, events)

    def _append(self, events: Sequence[OutboxEvent]) -> None:
        with self.broker.client.pipeline() as pipe:
            for event in events:
                message = message_for(event)
                pipe.hset(self._key(event.queue, ".msgs"), _name(event), message.encode())
                pipe.rpush(self._key(event.queue), _name(event))
            pipe.execute()

    def _find(self, events: Sequence[OutboxEvent]) -> set[UUID]:
        with self.broker.client.pipeline() as pipe:
            for event in events:
                pipe.hexists(self._key(event.queue, ".msgs"), _name(event))
            return {event.id for event, there in zip(events, pipe.execute(), strict=True) if there}

    def _key(self, queue: str, suffix: str = "") -> str:
        return f"{self.broker.namespace}:{queue}{suffix}"

    async def _in_a_thread(self, function: Callable[[Sequence[OutboxEvent]], T], events: Sequence[OutboxEvent]) -> T:
        try:
            return await asyncio.to_thread(function, events)
        except RedisError as error:
            raise Unavailable(f"Redis: {error}") from error


def _name(event: OutboxEvent) -> str:
    """Name a message by job and attempt: the message of the attempt before may not be acknowledged yet."""
    return f"{event.id}:{event.attempts}"


def message_for(event: OutboxEvent) -> Message[None]:
    """Write the message that lets a worker do a job."""
    return Message(
        queue_name=event.queue,
        actor_name=f"{ACTOR}_{event.queue}",
        args=(str(event.id),),
        kwargs={},
        options={"redis_message_id": _name(event)},
    )


@asynccontextmanager
async def consuming(
    broker: RedisBroker, runner: Runner, settings: WorkerSettings, give_up_seconds: float = GIVE_UP_SECONDS
) -> AsyncGenerator[Worker]:
    """Do jobs while the block runs. At its end, those under way have some time; then they are given back."""
    loop = asyncio.get_running_loop()
    under_way: set[asyncio.Task[None]] = set()

    async def keep(job_id: str) -> None:
        job = asyncio.create_task(runner.run(UUID(job_id)))
        under_way.add(job)
        try:
            await job
        except asyncio.CancelledError:
            pass
        except Exception as error:  # noqa: BLE001 - most likely the database is away
            logger.warning("job not done: it will be sent again", job_id=job_id, error=type(error).__name__)
        finally:
            under_way.discard(job)

    def run_job(job_id: str) -> None:
        """Wait in a thread of dramatiq for what runs on the loop of this process."""
        asyncio.run_coroutine_threadsafe(keep(job_id), loop).result()

    for priority, queue in enumerate(Queue):
        Actor(
            run_job,
            broker=broker,
            actor_name=f"{ACTOR}_{queue}",
            queue_name=queue,
            priority=priority,
            options={},
        )
    worker = Worker(broker, worker_timeout=IDLE_MS, worker_threads=settings.jobs)
    worker.start()
    try:
        yield worker
    finally:
        await _stop(worker, under_way, settings.stop_seconds, give_up_seconds)
        broker.client.close()


async def _stop(worker: Worker, under_way: set[asyncio.Task[None]], seconds: float, give_up_seconds: float) -> None:
    """Take no more jobs, and cancel those that are still under way after a time."""
    stopping = asyncio.create_task(asyncio.to_thread(_stop_threads, worker, seconds + give_up_seconds))
    await asyncio.wait({stopping}, timeout=seconds)
    while not stopping.done():
        for job in [job for job in under_way if not job.cancelling()]:
            job.cancel()
        await asyncio.wait({stopping}, timeout=IDLE_MS / 1000)


def _stop_threads(worker: Worker, seconds: float) -> None:
    """Stop it, also while Redis is away: its threads wait for Redis for ever, and are left behind then."""
    try:
        worker.stop(timeout=round(seconds * 1000))
    except RedisError as error:
        logger.warning("Redis is away: what waits in this worker is sent to others later", error=type(error).__name__)
