"""The inbox: each event is handled once, despite duplicates and failures."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.testing import capture_logs

from app.db import dialect
from app.db.base import utc_now
from app.db.session import Database, transaction
from app.messaging.consumers import Consumer
from app.messaging.contracts import Topic
from app.messaging.dead_letter_replay import DeadLetterReplay
from app.messaging.inbox import Inbox, ProcessedEvent
from app.outbox.background import run_in_background
from app.outbox.errors import RetryLater
from app.outbox.repository import OutboxRepository
from tests.messaging.conftest import (
    EVENT_TYPE,
    RecordingConsumer,
    SampleEvent,
    declare_topics,
    make_message_bytes,
    recorded_effects,
)
from tests.outbox.conftest import outbox_rows
from tests.waiting import TIMEOUT_SECONDS, wait_until

OUTAGES = [
    OperationalError("SELECT 1", {}, OSError("gone")),
    InterfaceError("SELECT 1", {}, OSError("closed")),
    PoolTimeout("all in use"),
    RetryLater("not yet"),
]


@pytest.fixture
def inbox(empty_database: Database, recording_consumer: RecordingConsumer) -> Inbox:
    return Inbox(empty_database, recording_consumer.consumer, retry_delays_seconds=(0, 0.01))


async def stored_event_ids(database: Database) -> Sequence[ProcessedEvent]:
    async with transaction(database.read_transaction) as session:
        return (await session.exec(select(ProcessedEvent))).all()


async def test_batch_is_handled_in_order(inbox: Inbox, recording_consumer: RecordingConsumer) -> None:
    with capture_logs() as lines:
        await inbox.process_batch([make_message_bytes("b", 1), make_message_bytes("a", 1), make_message_bytes("b", 2)])

    assert recording_consumer.handled == ["b 1", "a 1", "b 2"]
    assert await recorded_effects(inbox.database) == ["a 1", "b 1", "b 2"]
    assert len(await stored_event_ids(inbox.database)) == 3
    [line, ids] = lines
    assert (line["event"], line["handled"], line["duplicates"]) == ("events processed", 3, 0)
    assert (ids["log_level"], len(set(ids["event_ids"]))) == ("debug", 3)


async def test_duplicates_are_skipped(inbox: Inbox, recording_consumer: RecordingConsumer) -> None:
    [first, second] = make_message_bytes("a", 1), make_message_bytes("a", 2)
    await inbox.process_batch([first, first])
    with capture_logs() as lines:
        await inbox.process_batch([first, second, second])
        await inbox.process_batch([first, second])

    assert recording_consumer.handled == ["a 1", "a 2"]
    assert [(line["handled"], line["duplicates"]) for line in lines if "handled" in line] == [(1, 2), (0, 2)]


@pytest.mark.skipif(not dialect.open_database.__module__.endswith("postgres"), reason="SQLite has one writer at a time")
@pytest.mark.parametrize("done", [True, False])
async def test_concurrent_batches_with_same_events_do_not_deadlock(
    inbox: Inbox, recording_consumer: RecordingConsumer, done: bool
) -> None:
    """Happens after a rebalance. Two batches have opposite orders, and a third transaction holds one of the events."""
    batch = [make_message_bytes("a", number, id=f"event {number}") for number in range(3)]
    with capture_logs() as lines:
        async with asyncio.TaskGroup() as group:
            with suppress(InterruptedError):
                async with transaction(inbox.database.write) as third:
                    third.add(
                        ProcessedEvent(id=f"{recording_consumer.consumer.name} /another event 1", expires_at=utc_now())
                    )
                    await third.flush()
                    for each in (batch, batch[::-1]):
                        group.create_task(inbox.process_batch(each))
                    await wait_until(lambda: _sessions_wait_for_locks(inbox.database, 2))
                    if not done:
                        raise InterruptedError

    assert sorted((line["handled"], line["duplicates"]) for line in lines if line["event"] == "events processed") == (
        [(0, 3), (2, 1)] if done else [(0, 3), (3, 0)]
    )
    assert await recorded_effects(inbox.database) == (["a 0", "a 2"] if done else ["a 0", "a 1", "a 2"])


async def _sessions_wait_for_locks(database: Database, count: int) -> bool:
    async with transaction(database.read_transaction) as session:
        waiting = text("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted")
        return (await (await session.connection()).execute(waiting)).scalar_one() == count


async def test_ids_are_unique_within_their_source(inbox: Inbox, recording_consumer: RecordingConsumer) -> None:
    id_ = str(uuid4())
    await inbox.process_batch(
        [make_message_bytes("a", 1, id=id_, source="/one"), make_message_bytes("a", 2, id=id_, source="/two")]
    )
    assert recording_consumer.handled == ["a 1", "a 2"]


async def test_each_consumer_handles_the_event(inbox: Inbox, recording_consumer: RecordingConsumer) -> None:
    other, received = Consumer(f"test-{uuid4().hex}"), []

    @other.on(SampleEvent)
    async def handle(_: AsyncSession, event: SampleEvent) -> None:
        received.append(event.number)

    event = make_message_bytes("a", 1)
    for each in (inbox, Inbox(inbox.database, other)):
        await each.process_batch([event])
    assert (recording_consumer.handled, received) == (["a 1"], [1])


@pytest.mark.parametrize(("retention_days", "stored_days"), [(7, 30), (29, 30), (90, 91)])
async def test_ids_are_stored_longer_than_retention(
    inbox: Inbox, topic: Topic, retention_days: int, stored_days: int
) -> None:
    consumer = Consumer(f"test-{uuid4().hex}")
    declare_topics(replace(topic, retention=timedelta(days=retention_days)))
    consumer.on_batch()(_ignore_events)
    before = utc_now()
    await Inbox(inbox.database, consumer).process_batch([make_message_bytes("a", 1, type="test.declared0.v1")])

    [row] = await stored_event_ids(inbox.database)
    assert timedelta() <= row.expires_at - before - timedelta(days=stored_days) < timedelta(hours=1)


async def _ignore_events(_: AsyncSession, events: Sequence[object]) -> None:
    """Handle events without any effect."""


async def test_events_without_functions_are_skipped(inbox: Inbox, recording_consumer: RecordingConsumer) -> None:
    await inbox.process_batch([make_message_bytes("a", 1, type="test.happened.v9")])
    await inbox.process_batch([])

    assert (recording_consumer.handled, await stored_event_ids(inbox.database), await outbox_rows(inbox.database)) == (
        [],
        [],
        [],
    )


async def test_unknown_fields_are_ignored(inbox: Inbox, recording_consumer: RecordingConsumer) -> None:
    await inbox.process_batch([make_message_bytes("a", 1, data={"mood": "good"})])
    assert recording_consumer.handled == ["a 1"]


async def test_failing_event_is_dead_letter_after_three_attempts(
    inbox: Inbox, recording_consumer: RecordingConsumer
) -> None:
    recording_consumer.errors["a 2"] = ZeroDivisionError("no\nluck")
    bad = make_message_bytes("a", 2, requestid="abc")
    with capture_logs() as lines:
        await inbox.process_batch([make_message_bytes("a", 1), bad, make_message_bytes("a", 3)])

    assert await recorded_effects(inbox.database) == ["a 1", "a 3"]
    assert recording_consumer.handled == ["a 1", "a 2", "a 1", "a 2", "a 2", "a 2", "a 3"], (
        "first as a batch, then one by one"
    )
    [dead_letter] = await outbox_rows(inbox.database)
    assert (dead_letter.destination, dead_letter.queue, dead_letter.name) == (
        "consumers",
        recording_consumer.consumer.name,
        EVENT_TYPE,
    )
    assert (dead_letter.attempts, dead_letter.last_error, dead_letter.request_id) == (3, "ZeroDivisionError: no", "abc")
    assert dead_letter.dead_at is not None
    assert json.loads(dead_letter.payload) == json.loads(bad)
    failures = [line for line in lines if line["event"].startswith("event ")]
    assert [line["log_level"] for line in failures] == ["warning", "warning", "error"]
    assert {line["error"] for line in failures} == {"ZeroDivisionError: no"}
    assert "_handle" in failures[-1]["exception"]
    assert failures[-1]["dead_letter_id"] == str(dead_letter.id)

    await inbox.process_batch([bad])
    assert len(await outbox_rows(inbox.database)) == 1
    assert len(recording_consumer.handled) == 7


@pytest.mark.parametrize("attempt", [2, 3])
async def test_event_that_succeeds_on_retry_is_handled(
    inbox: Inbox, recording_consumer: RecordingConsumer, attempt: int
) -> None:
    class ErrorsBeforeAttempt(dict[str, Exception]):
        """Failures before that attempt."""

        def __contains__(self, what: object) -> bool:
            return recording_consumer.handled.count(str(what)) < attempt

    recording_consumer.errors = ErrorsBeforeAttempt({"a 1": ZeroDivisionError()})
    await inbox.process_batch([make_message_bytes("a", 1)])

    assert await recorded_effects(inbox.database) == ["a 1"]
    assert len(recording_consumer.handled) == attempt
    assert await outbox_rows(inbox.database) == []


async def test_contract_violation_is_dead_letter_without_retry(
    inbox: Inbox, recording_consumer: RecordingConsumer
) -> None:
    with capture_logs() as lines:
        await inbox.process_batch([make_message_bytes("a", data={"number": "hunter2"}), make_message_bytes("a", 2)])

    assert recording_consumer.handled == ["a 2"]
    [dead_letter] = await outbox_rows(inbox.database)
    assert dead_letter.last_error.startswith(
        "ContractViolation: ValidationError: number: Input should be a valid integer"
    )
    assert dead_letter.attempts == 1
    assert "hunter2" not in f"{dead_letter.last_error}{lines}"


async def test_failing_statement_is_not_an_outage(inbox: Inbox, recording_consumer: RecordingConsumer) -> None:
    recording_consumer.errors["a 1"] = ProgrammingError("SELECT missing", {}, Exception("no such column"))
    await inbox.process_batch([make_message_bytes("a", 1), make_message_bytes("a", 2)])

    assert await recorded_effects(inbox.database) == ["a 2"]
    [dead_letter] = await outbox_rows(inbox.database)
    assert dead_letter.last_error == "ProgrammingError: no such column"


async def test_pauses_of_failing_batch_are_limited(inbox: Inbox, recording_consumer: RecordingConsumer) -> None:
    """Kafka reassigns the partitions after 5 minutes."""
    inbox.retry_delays_seconds, inbox.retry_budget_seconds = (60, 60), 0
    recording_consumer.errors = {f"a {number}": ZeroDivisionError() for number in range(20)}
    async with asyncio.timeout(TIMEOUT_SECONDS):
        await inbox.process_batch([make_message_bytes("a", number) for number in range(20)])

    assert len(await outbox_rows(inbox.database)) == 20


async def test_database_error_is_stored_without_values(inbox: Inbox) -> None:
    await inbox.process_batch([make_message_bytes("hunter2", 1)])
    with capture_logs() as lines:
        await inbox.process_batch([make_message_bytes("hunter2", 1)])  # another event, with the same effect

    [dead_letter] = await outbox_rows(inbox.database)
    assert dead_letter.last_error.startswith("IntegrityError: ")
    assert "hunter2" not in f"{lines}{dead_letter.last_error}"


@pytest.mark.parametrize(
    "invalid",
    [b"", b"hunter2", b"{}", b"\x00\x00\x00\x00\x07avro", b"\xff\xfe", json.dumps({"id": "1"}).encode()],
)
async def test_invalid_message_is_dead_letter(
    inbox: Inbox, recording_consumer: RecordingConsumer, invalid: bytes
) -> None:
    with capture_logs() as lines:
        await inbox.process_batch([make_message_bytes("a", 1), invalid, make_message_bytes("a", 2)])
        await inbox.process_batch([invalid])

    assert recording_consumer.handled == ["a 1", "a 2"]
    [dead_letter] = await outbox_rows(inbox.database)
    assert (dead_letter.queue, dead_letter.name, dead_letter.request_id) == (
        recording_consumer.consumer.name,
        "unknown",
        "",
    )
    assert dead_letter.payload == invalid.decode(errors="replace").replace("\x00", "\ufffd")
    assert dead_letter.last_error.startswith("ValidationError: ")
    assert (lines[0]["event"], lines[0]["dead_letter_id"]) == ("invalid event", str(dead_letter.id))
    assert "hunter2" not in str(lines)


async def test_event_with_nul_is_dead_letter(inbox: Inbox, recording_consumer: RecordingConsumer) -> None:
    nul = make_message_bytes("a", 1, data={"who": "a\x00b"})
    with capture_logs() as lines:
        await inbox.process_batch([nul, make_message_bytes("a", 2)])

    assert recording_consumer.handled[-1] == "a 2"
    if inbox.database.write.kw["bind"].dialect.name == "postgresql":  # SQLite stores it
        [dead_letter] = await outbox_rows(inbox.database)
        assert json.loads(dead_letter.payload)["data"]["who"] == "a\x00b"
        assert lines


@pytest.mark.parametrize("error", OUTAGES, ids=str)
async def test_outage_is_raised_to_retry_the_batch(
    inbox: Inbox, recording_consumer: RecordingConsumer, error: Exception
) -> None:
    batch = [make_message_bytes("a", 1), make_message_bytes("a", 2), make_message_bytes("a", 3)]
    recording_consumer.errors["a 2"] = error
    with pytest.raises(type(error)):
        await inbox.process_batch(batch)
    assert (
        await recorded_effects(inbox.database),
        await stored_event_ids(inbox.database),
        await outbox_rows(inbox.database),
    ) == ([], [], [])

    recording_consumer.errors.clear()
    await inbox.process_batch(batch)
    assert await recorded_effects(inbox.database) == ["a 1", "a 2", "a 3"]


async def test_retry_later_after_another_failure_is_raised(inbox: Inbox, recording_consumer: RecordingConsumer) -> None:
    batch = [make_message_bytes("a", 1), make_message_bytes("a", 2)]
    recording_consumer.errors = {"a 1": ZeroDivisionError(), "a 2": RetryLater()}
    with pytest.raises(RetryLater):
        await inbox.process_batch(batch)
    recording_consumer.errors.clear()
    await inbox.process_batch(batch)

    assert await recorded_effects(inbox.database) == ["a 2"]
    assert len(await outbox_rows(inbox.database)) == 1, "the event that failed is a dead letter"


@pytest.fixture
async def dead_letter_replay(inbox: Inbox, recording_consumer: RecordingConsumer) -> DeadLetterReplay:
    """A poller that handles one replayed dead letter."""
    recording_consumer.errors["a 1"] = ZeroDivisionError()
    await inbox.process_batch([make_message_bytes("a", 1)])
    recording_consumer.handled.clear()
    return DeadLetterReplay(inbox.database, 0.01)


async def replay_all(database: Database) -> None:
    """Replay all dead letters, like `app dead-letters replay --all`."""
    async with transaction(database.write) as session:
        assert await OutboxRepository(session).replay(None) == 1


async def test_dead_letter_is_handled_after_replay(
    dead_letter_replay: DeadLetterReplay, recording_consumer: RecordingConsumer
) -> None:
    recording_consumer.errors.clear()
    assert await dead_letter_replay.run_once() == 0

    await replay_all(dead_letter_replay.database)
    async with run_in_background(dead_letter_replay.run()):
        await wait_until(lambda: recording_consumer.handled == ["a 1"])
        await wait_until(lambda: _outbox_is_empty(dead_letter_replay.database))
    assert await recorded_effects(dead_letter_replay.database) == ["a 1"]
    assert recording_consumer.handled == ["a 1"]


async def _outbox_is_empty(database: Database) -> bool:
    return not await outbox_rows(database)


async def test_failed_replay_is_dead_letter_again(
    dead_letter_replay: DeadLetterReplay, recording_consumer: RecordingConsumer
) -> None:
    recording_consumer.errors["a 1"] = ZeroDivisionError("still")
    await replay_all(dead_letter_replay.database)
    with capture_logs() as lines:
        assert await dead_letter_replay.run_once() == 1

    assert await recorded_effects(dead_letter_replay.database) == []
    [row] = await outbox_rows(dead_letter_replay.database)
    assert (row.attempts, row.last_error, row.dead_at is None) == (1, "ZeroDivisionError: still", False)
    assert [line["event"] for line in lines] == ["dead letter replay failed"]
    assert await dead_letter_replay.run_once() == 0


async def test_replay_with_retry_later_stays_pending(
    dead_letter_replay: DeadLetterReplay, recording_consumer: RecordingConsumer
) -> None:
    recording_consumer.errors["a 1"] = RetryLater()
    await replay_all(dead_letter_replay.database)
    with capture_logs() as lines:
        assert await dead_letter_replay.run_once() == 1

    [row] = await outbox_rows(dead_letter_replay.database)
    assert row.dead_at is None
    assert row.due_at > utc_now()
    assert await recorded_effects(dead_letter_replay.database) == []
    assert [line["event"] for line in lines] == ["dead letter replay postponed"]
    assert await dead_letter_replay.run_once() == 0, "it must not block later ones"


async def test_dead_letter_stays_pending_if_replay_meets_outage(
    dead_letter_replay: DeadLetterReplay, recording_consumer: RecordingConsumer
) -> None:
    recording_consumer.errors["a 1"] = OperationalError("SELECT 1", {}, OSError("gone"))
    await replay_all(dead_letter_replay.database)
    with pytest.raises(OperationalError):
        await dead_letter_replay.run_once()

    [row] = await outbox_rows(dead_letter_replay.database)
    assert (row.dead_at, row.attempts) == (None, 0)


async def test_replay_handles_only_its_consumers(
    dead_letter_replay: DeadLetterReplay, recording_consumer: RecordingConsumer
) -> None:
    recording_consumer.errors.clear()
    await replay_all(dead_letter_replay.database)

    assert await DeadLetterReplay(dead_letter_replay.database, 0.01, ["another"]).run_once() == 0
    assert await DeadLetterReplay(dead_letter_replay.database, 0.01, [recording_consumer.consumer.name]).run_once() == 1
    assert await recorded_effects(dead_letter_replay.database) == ["a 1"]


async def test_replay_for_removed_consumer_fails(inbox: Inbox, dead_letter_replay: DeadLetterReplay) -> None:
    async with transaction(dead_letter_replay.database.write) as session:
        for row in await outbox_rows(dead_letter_replay.database):
            row.queue = "removed"
            await session.merge(row)
    await replay_all(dead_letter_replay.database)
    await dead_letter_replay.run_once()

    [row] = await outbox_rows(dead_letter_replay.database)
    assert row.last_error.startswith("LookupError: No consumer has the name removed. Consumers: ")
