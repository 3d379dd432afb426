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
from app.jobs.relay import JobRelay
from app.jobs.repository import JobRepository
from app.outbox.background import run_in_background
from app.outbox.models import OutboxMessage
from app.outbox.poller import DestinationUnavailable
from app.outbox.repository import OutboxRepository
from tests.jobs.conftest import RecordingDestination, call_repository, lease_row
from tests.outbox.conftest import commit_messages, make_message, outbox_rows, shift_timestamps
from tests.waiting import wait_until


async def test_committed_jobs_are_sent_once_and_in_order(
    empty_database: Database, relay: JobRelay, recording_destination: RecordingDestination
) -> None:
    await commit_messages(empty_database, make_message("first"), make_message("second"), make_message("third"))

    assert await relay.run_once() == 3
    assert await relay.run_once() == 0
    assert recording_destination.sent == ["first", "second", "third"]
    assert all(row.sent_at for row in await outbox_rows(empty_database))


async def test_rolled_back_jobs_are_discarded(
    empty_database: Database, relay: JobRelay, recording_destination: RecordingDestination
) -> None:
    with suppress(ConflictError):
        async with transaction(empty_database.write) as session:
            OutboxRepository(session).add(make_message("never"))
            await session.flush()
            raise ConflictError

    assert await relay.run_once() == 0
    assert recording_destination.sent == []


async def test_scheduled_job_is_sent_when_due(
    empty_database: Database, relay: JobRelay, recording_destination: RecordingDestination
) -> None:
    await commit_messages(
        empty_database, make_message("later", next_attempt_at=utc_now() + timedelta(minutes=1)), make_message("now")
    )

    await relay.run_once()
    assert recording_destination.sent == ["now"]
    await shift_timestamps(empty_database, 61)
    recording_destination.queued = {row.id for row in await outbox_rows(empty_database)}
    await relay.run_once()
    assert recording_destination.sent == ["now", "later"]


async def test_jobs_with_same_key_are_sent_one_at_a_time(
    empty_database: Database, relay: JobRelay, recording_destination: RecordingDestination
) -> None:
    await commit_messages(
        empty_database,
        make_message("a1", key="a"),
        make_message("a2", key="a"),
        make_message("b1", key="b"),
        make_message("a3", key="a"),
    )

    await relay.run_once()
    assert recording_destination.sent == ["a1", "b1"]
    assert await relay.run_once() == 0

    [a1, *_] = await outbox_rows(empty_database)
    taken = await lease_row(empty_database, a1)
    assert await call_repository(empty_database, lambda repository: repository.complete(taken))
    await relay.run_once()
    assert recording_destination.sent == ["a1", "b1", "a2"]


async def test_jobs_with_same_key_are_sent_one_at_a_time_in_any_commit_order(
    empty_database: Database, relay: JobRelay, recording_destination: RecordingDestination
) -> None:
    """Numbers are assigned before the commit, so the first job to be committed may have the higher number."""
    await commit_messages(empty_database, make_message("second", key="a", number=1002))
    await relay.run_once()
    await commit_messages(empty_database, make_message("first", key="a", number=1001))
    assert await relay.run_once() == 0

    [_, second] = await outbox_rows(empty_database)
    taken = await lease_row(empty_database, second)
    assert await call_repository(empty_database, lambda repository: repository.complete(taken))
    await relay.run_once()
    assert recording_destination.sent == ["second", "first"]


async def test_dead_letter_does_not_block_its_key(
    empty_database: Database, relay: JobRelay, recording_destination: RecordingDestination
) -> None:
    await commit_messages(empty_database, make_message("a1", key="a"), make_message("a2", key="a"))
    await relay.run_once()

    [a1, _] = await outbox_rows(empty_database)
    taken = await lease_row(empty_database, a1)
    await call_repository(empty_database, lambda repository: repository.move_to_dead_letters(taken, "no"))
    await relay.run_once()
    assert recording_destination.sent == ["a1", "a2"]


async def test_jobs_are_sent_when_destination_is_available_again(
    empty_database: Database, relay: JobRelay, recording_destination: RecordingDestination
) -> None:
    await commit_messages(empty_database, make_message("first"))
    recording_destination.unavailable = True

    with pytest.raises(DestinationUnavailable):
        await relay.run_once()
    recording_destination.unavailable = False
    await relay.run_once()
    assert recording_destination.sent == ["first"]


async def test_lost_jobs_are_sent_again(
    empty_database: Database, relay: JobRelay, recording_destination: RecordingDestination
) -> None:
    await commit_messages(empty_database, make_message("kept"), make_message("lost"))
    await relay.run_once()
    [kept, _] = await outbox_rows(empty_database)
    recording_destination.queued = {kept.id}

    assert await relay.run_once() == 0, "the job is not checked yet"
    await shift_timestamps(empty_database, 11)
    with capture_logs() as lines:
        await relay.run_once()
        await relay.run_once()

    assert recording_destination.sent == ["kept", "lost", "lost"]
    assert [(line["event"], line["count"]) for line in lines] == [("jobs: lost by the destination, requeued", 1)]


async def test_jobs_of_crashed_worker_are_sent_again(
    empty_database: Database, relay: JobRelay, recording_destination: RecordingDestination
) -> None:
    await commit_messages(empty_database, make_message("first"))
    await relay.run_once()
    [row] = await outbox_rows(empty_database)
    taken = await lease_row(empty_database, row)
    await shift_timestamps(empty_database, 61)

    with capture_logs() as lines:
        await relay.run_once()
    assert recording_destination.sent == ["first", "first"]
    assert lines[0]["event"].startswith("jobs: lease expired, requeued")
    assert not await call_repository(empty_database, lambda repository: repository.complete(taken)), (
        "another attempt owns the job"
    )
    assert len(await outbox_rows(empty_database)) == 1


async def test_late_worker_does_not_complete_another_job(empty_database: Database, relay: JobRelay) -> None:
    """SQLite reuses the highest number after its row is deleted."""
    await commit_messages(empty_database, make_message("first"))
    await relay.run_once()
    [row] = await outbox_rows(empty_database)
    late = await lease_row(empty_database, row)
    assert await call_repository(empty_database, lambda repository: repository.complete(late))
    await commit_messages(empty_database, make_message("second"))
    await relay.run_once()
    [row] = await outbox_rows(empty_database)
    await lease_row(empty_database, row)

    assert not await call_repository(empty_database, lambda repository: repository.complete(late))
    assert [each.name for each in await outbox_rows(empty_database)] == ["second"]


async def test_concurrent_relays_do_not_send_two_jobs_with_same_key(
    empty_database: Database, recording_destination: RecordingDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One relay selects the second job; then the first is committed, and the other relay selects that."""
    relays = [JobRelay(empty_database, recording_destination, poll_seconds=0.01, recheck_seconds=0) for _ in range(2)]
    await commit_messages(empty_database, make_message("second", key="a", number=1002))
    first_selection = await call_repository(empty_database, lambda repository: repository.lock_due_jobs(10))
    await commit_messages(empty_database, make_message("first", key="a", number=1001))
    await relays[0].run_once()

    async def return_first_selection(*_: object) -> Sequence[OutboxMessage]:
        return first_selection

    with monkeypatch.context() as patch:
        patch.setattr(JobRepository, "lock_due_jobs", return_first_selection)
        assert await relays[1]._send() == 0
    assert recording_destination.sent == ["first"]


async def test_concurrent_relays_send_each_job_once(
    empty_database: Database, recording_destination: RecordingDestination
) -> None:
    await commit_messages(empty_database, *(make_message(f"{number}") for number in range(200)))
    relays = [JobRelay(empty_database, recording_destination, poll_seconds=0.01, recheck_seconds=0) for _ in range(2)]

    await asyncio.gather(*(relay.run_once() for relay in relays))
    await asyncio.gather(*(relay.run_once() for relay in relays))
    assert sorted(recording_destination.sent, key=int) == [f"{number}" for number in range(200)]


async def test_relay_survives_unexpected_errors(empty_database: Database) -> None:
    errors = [KeyError("unexpected")]

    class FailingOnceDestination(RecordingDestination):
        async def send(self, rows: Sequence[OutboxMessage]) -> None:
            if errors:
                raise errors.pop()
            await super().send(rows)

    destination = FailingOnceDestination()
    relay = JobRelay(empty_database, destination, poll_seconds=0.01, recheck_seconds=0)
    await commit_messages(empty_database, make_message("first"))
    with capture_logs() as lines:
        async with run_in_background(relay.run()):
            await wait_until(lambda: bool(lines))
            await shift_timestamps(empty_database, 11)
            await wait_until(lambda: destination.sent == ["first"])

    assert lines[0]["error"] == "KeyError: 'unexpected'"
    assert "in send" in lines[0]["exception"]


async def test_messages_of_other_destinations_are_ignored(
    empty_database: Database, relay: JobRelay, recording_destination: RecordingDestination
) -> None:
    await commit_messages(
        empty_database, make_message("other", key="a", destination="archive"), make_message("own", key="a")
    )
    assert await relay.run_once() == 1
    await shift_timestamps(empty_database, 11)
    await relay.run_once()

    assert recording_destination.sent == ["own"]
    assert [row.sent_at is None for row in await outbox_rows(empty_database)] == [True, False]


async def test_job_that_failed_during_check_is_not_marked_as_sent(empty_database: Database) -> None:
    """Between the check and the update, a worker may run the job and fail."""

    class DestinationWithFailingJob(RecordingDestination):
        async def find_queued(self, rows: Sequence[OutboxMessage]) -> set[UUID]:
            taken = await lease_row(empty_database, rows[0])
            await call_repository(
                empty_database,
                lambda repository: repository.schedule_retry(taken, utc_now() + timedelta(minutes=1), "no"),
            )
            return await super().find_queued(rows)

    relay = JobRelay(empty_database, DestinationWithFailingJob(), poll_seconds=0.01, recheck_seconds=0)
    await commit_messages(empty_database, make_message("first"))
    await relay.run_once()
    await shift_timestamps(empty_database, 11)
    await relay.run_once()
    [row] = await outbox_rows(empty_database)
    assert (row.sent_at, row.last_error) == (None, "no")


async def test_sent_jobs_are_not_checked_at_every_poll(
    empty_database: Database, recording_destination: RecordingDestination
) -> None:
    relay = JobRelay(empty_database, recording_destination, poll_seconds=0.01)
    await commit_messages(empty_database, make_message("lost"))
    await relay.run_once()
    await shift_timestamps(empty_database, 11)
    await relay.run_once()
    assert recording_destination.sent == ["lost"]


async def test_released_job_is_sent_after_delay(
    empty_database: Database, relay: JobRelay, recording_destination: RecordingDestination
) -> None:
    await commit_messages(empty_database, make_message("first"))
    await relay.run_once()
    [row] = await outbox_rows(empty_database)
    taken = await lease_row(empty_database, row)
    await call_repository(
        empty_database, lambda repository: repository.release(taken, utc_now() + timedelta(seconds=1))
    )

    assert await relay.run_once() == 0
    await shift_timestamps(empty_database, 1)
    assert await relay.run_once() == 1
    [row] = await outbox_rows(empty_database)
    assert row.attempts == 0
