"""The relay of jobs: what is committed is sent, in order, again if need be, and nothing else."""

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


async def test_what_is_committed_is_sent_in_order_and_once(jobs: Database, relay: JobRelay, shelf: Shelf) -> None:
    await add(jobs, event("first"), event("second"), event("third"))

    assert await relay.run_once() == 3
    assert await relay.run_once() == 0
    assert shelf.sent == ["first", "second", "third"]
    assert all(row.sent_at for row in await rows(jobs))


async def test_what_is_rolled_back_was_never_there(jobs: Database, relay: JobRelay, shelf: Shelf) -> None:
    with suppress(ConflictError):
        async with transaction(jobs.writers) as session:
            OutboxRepository(session).add(event("never"))
            await session.flush()
            raise ConflictError

    assert await relay.run_once() == 0
    assert shelf.sent == []


async def test_what_is_for_later_waits(jobs: Database, relay: JobRelay, shelf: Shelf) -> None:
    await add(jobs, event("later", next_attempt_at=utc_now() + timedelta(minutes=1)), event("now"))

    await relay.run_once()
    assert shelf.sent == ["now"]
    await later(jobs, 61)
    shelf.held = {row.id for row in await rows(jobs)}
    await relay.run_once()
    assert shelf.sent == ["now", "later"]


async def test_of_one_key_one_is_under_way(jobs: Database, relay: JobRelay, shelf: Shelf) -> None:
    await add(jobs, event("a1", key="a"), event("a2", key="a"), event("b1", key="b"), event("a3", key="a"))

    await relay.run_once()
    assert shelf.sent == ["a1", "b1"]
    assert await relay.run_once() == 0

    [a1, *_] = await rows(jobs)
    taken = await take(jobs, a1)
    assert await change(jobs, lambda repository: repository.done(taken))
    await relay.run_once()
    assert shelf.sent == ["a1", "b1", "a2"]


async def test_of_one_key_one_is_under_way_whoever_came_first(jobs: Database, relay: JobRelay, shelf: Shelf) -> None:
    """Numbers are given before the commit: the first to be committed may have the higher one."""
    await add(jobs, event("second", key="a", number=1002))
    await relay.run_once()
    await add(jobs, event("first", key="a", number=1001))
    assert await relay.run_once() == 0

    [_, second] = await rows(jobs)
    taken = await take(jobs, second)
    assert await change(jobs, lambda repository: repository.done(taken))
    await relay.run_once()
    assert shelf.sent == ["second", "first"]


async def test_a_dead_one_lets_the_next_of_its_key_go(jobs: Database, relay: JobRelay, shelf: Shelf) -> None:
    await add(jobs, event("a1", key="a"), event("a2", key="a"))
    await relay.run_once()

    [a1, _] = await rows(jobs)
    taken = await take(jobs, a1)
    await change(jobs, lambda repository: repository.bury(taken, "no"))
    await relay.run_once()
    assert shelf.sent == ["a1", "a2"]


async def test_a_destination_that_is_away_gets_it_later(jobs: Database, relay: JobRelay, shelf: Shelf) -> None:
    await add(jobs, event("first"))
    shelf.away = True

    with pytest.raises(Unavailable):
        await relay.run_once()
    shelf.away = False
    await relay.run_once()
    assert shelf.sent == ["first"]


async def test_what_a_destination_has_lost_is_sent_again(jobs: Database, relay: JobRelay, shelf: Shelf) -> None:
    await add(jobs, event("kept"), event("lost"))
    await relay.run_once()
    [kept, _] = await rows(jobs)
    shelf.held = {kept.id}

    assert await relay.run_once() == 0, "so early nobody asks"
    await later(jobs, 11)
    with capture_logs() as lines:
        await relay.run_once()
        await relay.run_once()

    assert shelf.sent == ["kept", "lost", "lost"]
    assert [(line["event"], line["count"]) for line in lines] == [
        ("outbox: the destination has lost it, sending again", 1)
    ]


async def test_what_a_dead_worker_had_is_sent_again(jobs: Database, relay: JobRelay, shelf: Shelf) -> None:
    await add(jobs, event("first"))
    await relay.run_once()
    [row] = await rows(jobs)
    taken = await take(jobs, row)
    await later(jobs, 61)

    with capture_logs() as lines:
        await relay.run_once()
    assert shelf.sent == ["first", "first"]
    assert lines[0]["event"].startswith("outbox: whoever worked on it did not end in time")
    assert not await change(jobs, lambda repository: repository.done(taken)), "it is not theirs any more"
    assert len(await rows(jobs)) == 1


async def test_who_comes_too_late_does_not_end_the_job_of_another(jobs: Database, relay: JobRelay) -> None:
    """SQLite gives the highest number anew once its row is gone."""
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


async def test_two_relays_do_not_send_two_of_a_key_that_they_cannot_see_together(
    jobs: Database, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One has chosen the second, the first is committed after that, and the other relay chooses it."""
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


async def test_two_relays_send_each_row_once(jobs: Database, shelf: Shelf) -> None:
    await add(jobs, *(event(f"{number}") for number in range(200)))
    relays = [JobRelay(jobs, shelf, poll_seconds=0.01) for _ in range(2)]

    await asyncio.gather(*(relay.run_once() for relay in relays))
    await asyncio.gather(*(relay.run_once() for relay in relays))
    assert sorted(shelf.sent, key=int) == [f"{number}" for number in range(200)]


async def test_it_outlives_what_nobody_has_thought_of(jobs: Database) -> None:
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


async def test_what_is_for_another_destination_is_left_alone(jobs: Database, relay: JobRelay, shelf: Shelf) -> None:
    await add(jobs, event("elsewhere", key="a", destination="attic"), event("here", key="a"))
    assert await relay.run_once() == 1
    await later(jobs, 11)
    await relay.run_once()

    assert shelf.sent == ["here"]
    assert [row.sent_at is None for row in await rows(jobs)] == [True, False]


async def test_who_was_asked_about_and_waits_again_is_not_marked_as_sent(jobs: Database) -> None:
    """Between the question and the mark, a worker may take it and fail."""

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


async def test_who_is_given_back_waits_a_moment(jobs: Database, relay: JobRelay, shelf: Shelf) -> None:
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
