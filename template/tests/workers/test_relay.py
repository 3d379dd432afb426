"""The job relay: committed jobs are sent in order, and again if they were lost."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from app.core.exceptions import ConflictError
from app.db.base import utc_now
from app.db.session import Database, transaction
from app.outbox.models import OutboxEvent
from app.outbox.relay import Unavailable, relaying
from app.outbox.repository import OutboxRepository
from app.workers.relay import JobRelay
from app.workers.repository import JobRepository
from tests.outbox.conftest import add, event, later, rows
from tests.waiting import until
from tests.workers.conftest import Shelf, change, take


async def test_committed_jobs_are_sent_once_and_in_order(jobs: Database, relay: JobRelay, shelf: Shelf) -> None:
    await add(jobs, event("first"), event("second"), event("third"))

    assert await relay.run_once() == 3
    assert await relay.run_once() == 0
    assert shelf.sent == ["first", "second", "third"]
    assert all(row.sent_at for row in await rows(jobs))


async def test_rolled_back_jobs_are_discarded(jobs: Database, relay: JobRelay, shelf: Shelf) -> None:
    with suppress(ConflictError):
        async with transaction(jobs.writers) as session:
            OutboxRepository(session).add(event("never"))
            await session.flush()
            raise ConflictError

    assert await relay.run_once() == 0
    assert shelf.sent == []


async def test_scheduled_job_is_sent_when_due(jobs: Database, relay: JobRelay, shelf: Shelf) -> None:
    await add(jobs, event("later", next_attempt_at=utc_now() + timedelta(minutes=1)), event("now"))

    await relay.run_once()
    assert shelf.sent == ["now"]
    await later(jobs, 61)
    shelf.held = {row.id for row in await rows(jobs)}
    await relay.run_once()
    assert shelf.sent == ["now", "later"]


async def test_jobs_with_same_key_are_sent_one_at_a_time(jobs: Database, relay: JobRelay, shelf: Shelf) -> None:
    await add(jobs, event("a1", key="a"), event("a2", key="a"), event("b1", key="b"), event("a3", key="a"))

    await relay.run_once()
    assert shelf.sent == ["a1", "b1"]
    assert await relay.run_once() == 0

    [a1, *_] = await rows(jobs)
    taken = await take(jobs, a1)
    assert await change(jobs, lambda repository: repository.done(taken))
    await relay.run_once()
    assert shelf.sent == ["a1", "b1", "a2"]


async def test_jobs_with_same_key_are_sent_one_at_a_time_in_any_commit_order(
    jobs: Database, relay: JobRelay, shelf: Shelf
) -> None:
    """Numbers are assigned before the commit, so the first job to be committed may have the higher number."""
    await add(jobs, event("second", key="a", number=1002))
    await relay.run_once()
    await add(jobs, event("first", key="a", number=1001))
    assert await relay.run_once() == 0

    [_, second] = await rows(jobs)
    taken = await take(jobs, second)
    assert await change(jobs, lambda repository: repository.done(taken))
    await relay.run_once()
    assert shelf.sent == ["second", "first"]


async def test_dead_letter_does_not_block_its_key(jobs: Database, relay: JobRelay, shelf: Shelf) -> None:
    await add(jobs, event("a1", key="a"), event("a2", key="a"))
    await relay.run_once()

    [a1, _] = await rows(jobs)
    taken = await take(jobs, a1)
    await change(jobs, lambda repository: repository.bury(taken, "no"))
    await relay.run_once()
    assert shelf.sent == ["a1", "a2"]


async def test_jobs_are_sent_when_destination_is_available_again(jobs: Database, relay: JobRelay, shelf: Shelf) -> None:
    await add(jobs, event("first"))
    shelf.away = True

    with pytest.raises(Unavailable):
        await relay.run_once()
    shelf.away = False
    await relay.run_once()
    assert shelf.sent == ["first"]


async def test_lost_jobs_are_sent_again(jobs: Database, relay: JobRelay, shelf: Shelf) -> None:
    await add(jobs, event("kept"), event("lost"))
    await relay.run_once()
    [kept, _] = await rows(jobs)
    shelf.held = {kept.id}

    assert await relay.run_once() == 0, "the job is not checked yet"
    await later(jobs, 11)
    with capture_logs() as lines:
        await relay.run_once()
        await relay.run_once()

    assert shelf.sent == ["kept", "lost", "lost"]
    assert [(line["event"], line["count"]) for line in lines] == [("jobs: missing in Redis, requeued", 1)]


async def test_jobs_of_crashed_worker_are_sent_again(jobs: Database, relay: JobRelay, shelf: Shelf) -> None:
    await add(jobs, event("first"))
    await relay.run_once()
    [row] = await rows(jobs)
    taken = await take(jobs, row)
    await later(jobs, 61)

    with capture_logs() as lines:
        await relay.run_once()
    assert shelf.sent == ["first", "first"]
    assert lines[0]["event"].startswith("jobs: worker timed out, requeued")
    assert not await change(jobs, lambda repository: repository.done(taken)), "another attempt owns the job"
    assert len(await rows(jobs)) == 1


async def test_late_worker_does_not_complete_another_job(jobs: Database, relay: JobRelay) -> None:
    """SQLite reuses the highest number after its row is deleted."""
    await add(jobs, event("first"))
    await relay.run_once()
    [row] = await rows(jobs)
    late = await take(jobs, row)
    assert await change(jobs, lambda repository: repository.done(late))
    await add(jobs, event("second"))
    await relay.run_once()
    [row] = await rows(jobs)
    await take(jobs, row)

    assert not await change(jobs, lambda repository: repository.done(late))
    assert [each.name for each in await rows(jobs)] == ["second"]


async def test_concurrent_relays_do_not_send_two_jobs_with_same_key(
    jobs: Database, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One relay selects the second job; then the first is committed, and the other relay selects that."""
    relays = [JobRelay(jobs, shelf, poll_seconds=0.01) for _ in range(2)]
    await add(jobs, event("second", key="a", number=1002))
    chosen = await change(jobs, lambda repository: repository.due(10))
    await add(jobs, event("first", key="a", number=1001))
    await relays[0].run_once()

    async def as_before(*_: object) -> Sequence[OutboxEvent]:
        return chosen

    with monkeypatch.context() as patch:
        patch.setattr(JobRepository, "due", as_before)
        assert await relays[1]._send() == 0
    assert shelf.sent == ["first"]


async def test_concurrent_relays_send_each_job_once(jobs: Database, shelf: Shelf) -> None:
    await add(jobs, *(event(f"{number}") for number in range(200)))
    relays = [JobRelay(jobs, shelf, poll_seconds=0.01) for _ in range(2)]

    await asyncio.gather(*(relay.run_once() for relay in relays))
    await asyncio.gather(*(relay.run_once() for relay in relays))
    assert sorted(shelf.sent, key=int) == [f"{number}" for number in range(200)]


async def test_relay_survives_unexpected_errors(jobs: Database) -> None:
    bugs = [KeyError("attic")]

    class Buggy(Shelf):
        async def send(self, events: Sequence[OutboxEvent]) -> None:
            if bugs:
                raise bugs.pop()
            await super().send(events)

    shelf = Buggy()
    relay = JobRelay(jobs, shelf, poll_seconds=0.01)
    await add(jobs, event("first"))
    with capture_logs() as lines:
        async with relaying(relay):
            await until(lambda: bool(lines))
            await later(jobs, 11)
            await until(lambda: shelf.sent == ["first"])

    assert lines[0]["error"] == "KeyError: 'attic'"
    assert isinstance(lines[0]["exc_info"], KeyError)


async def test_messages_of_other_destinations_are_ignored(jobs: Database, relay: JobRelay, shelf: Shelf) -> None:
    await add(jobs, event("elsewhere", key="a", destination="attic"), event("here", key="a"))
    assert await relay.run_once() == 1
    await later(jobs, 11)
    await relay.run_once()

    assert shelf.sent == ["here"]
    assert [row.sent_at is None for row in await rows(jobs)] == [True, False]


async def test_job_that_failed_during_check_is_not_marked_as_sent(jobs: Database) -> None:
    """Between the check and the update, a worker may run the job and fail."""

    class Slow(Shelf):
        async def holding(self, events: Sequence[OutboxEvent]) -> set[UUID]:
            taken = await take(jobs, events[0])
            await change(jobs, lambda repository: repository.again(taken, utc_now() + timedelta(minutes=1), "no"))
            return await super().holding(events)

    relay = JobRelay(jobs, Slow(), poll_seconds=0.01)
    await add(jobs, event("first"))
    await relay.run_once()
    await later(jobs, 11)
    await relay.run_once()
    [row] = await rows(jobs)
    assert (row.sent_at, row.last_error) == (None, "no")


async def test_released_job_is_sent_after_delay(jobs: Database, relay: JobRelay, shelf: Shelf) -> None:
    await add(jobs, event("first"))
    await relay.run_once()
    [row] = await rows(jobs)
    taken = await take(jobs, row)
    await change(jobs, lambda repository: repository.release(taken, utc_now() + timedelta(seconds=1)))

    assert await relay.run_once() == 0
    await later(jobs, 1)
    assert await relay.run_once() == 1
    [row] = await rows(jobs)
    assert row.attempts == 0
