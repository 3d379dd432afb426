"""The inbox: each event is handled once, despite duplicates and failures."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.testing import capture_logs

from app.db import dialect
from app.db.base import utc_now
from app.db.session import Database, transaction
from app.events.consumers import Consumer
from app.events.inbox import Inbox
from app.events.models import ProcessedEvent
from app.events.replays import Replays
from app.outbox.failures import TryAgain
from app.outbox.relay import relaying
from app.outbox.repository import OutboxRepository
from tests.events.conftest import TYPE, Happened, Seen, effects, message
from tests.outbox.conftest import rows
from tests.waiting import TIMEOUT_SECONDS, until


class Refused(Exception):
    """A database error with an SQLSTATE code."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


AWAY = [
    OperationalError("SELECT 1", {}, OSError("gone")),
    InterfaceError("SELECT 1", {}, OSError("closed")),
    PoolTimeout("all in use"),
    OperationalError("SELECT 1", {}, Refused("57P01")),
    TryAgain("not yet"),
]


@pytest.fixture
def inbox(store: Database, seen: Seen) -> Inbox:
    return Inbox(store, seen.consumer, pauses_seconds=(0, 0.01))


async def remembered(database: Database) -> Sequence[ProcessedEvent]:
    async with transaction(database.readers) as session:
        return (await session.exec(select(ProcessedEvent))).all()


async def test_batch_is_handled_in_order(inbox: Inbox, seen: Seen) -> None:
    with capture_logs() as lines:
        await inbox.take([message("b", 1), message("a", 1), message("b", 2)])

    assert seen.here == ["b 1", "a 1", "b 2"]
    assert await effects(inbox.database) == ["a 1", "b 1", "b 2"]
    assert len(await remembered(inbox.database)) == 3
    [line] = lines
    assert (line["event"], line["count"], line["known"]) == ("events processed", 3, 0)


async def test_duplicates_are_skipped(inbox: Inbox, seen: Seen) -> None:
    [first, second] = message("a", 1), message("a", 2)
    await inbox.take([first, first])
    with capture_logs() as lines:
        await inbox.take([first, second, second])
        await inbox.take([first, second])

    assert seen.here == ["a 1", "a 2"]
    assert [(line["count"], line["known"]) for line in lines] == [(1, 2), (0, 2)]


@pytest.mark.skipif(not dialect.open_database.__module__.endswith("postgres"), reason="SQLite has one writer at a time")
@pytest.mark.parametrize("done", [True, False])
async def test_concurrent_batches_with_same_events_do_not_deadlock(inbox: Inbox, seen: Seen, done: bool) -> None:
    """Happens after a rebalance. Two batches have opposite orders, and a third transaction holds one of the events."""
    batch = [message("a", number, id=f"event {number}") for number in range(3)]
    with capture_logs() as lines:
        async with asyncio.TaskGroup() as group:
            with suppress(InterruptedError):
                async with transaction(inbox.database.writers) as third:
                    third.add(ProcessedEvent(id=f"{seen.consumer.name} /another event 1", expires_at=utc_now()))
                    await third.flush()
                    for each in (batch, batch[::-1]):
                        group.create_task(inbox.take(each))
                    await until(lambda: _waiting(inbox.database, 2))
                    if not done:
                        raise InterruptedError

    assert sorted((line["event"], line["count"], line["known"]) for line in lines) == (
        [("events processed", 0, 3), ("events processed", 2, 1)]
        if done
        else [("events processed", 0, 3), ("events processed", 3, 0)]
    )
    assert await effects(inbox.database) == (["a 0", "a 2"] if done else ["a 0", "a 1", "a 2"])


async def _waiting(database: Database, many: int) -> bool:
    async with transaction(database.readers) as session:
        waiting = text("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted")
        return (await (await session.connection()).execute(waiting)).scalar_one() == many


async def test_ids_are_unique_within_their_source(inbox: Inbox, seen: Seen) -> None:
    id_ = str(uuid4())
    await inbox.take([message("a", 1, id=id_, source="/one"), message("a", 2, id=id_, source="/two")])
    assert seen.here == ["a 1", "a 2"]


async def test_each_consumer_handles_the_event(inbox: Inbox, seen: Seen) -> None:
    other, heard = Consumer(f"test-{uuid4().hex}"), []

    @other.on(Happened)
    async def hear(_: AsyncSession, event: Happened) -> None:
        heard.append(event.number)

    event = message("a", 1)
    for each in (inbox, Inbox(inbox.database, other)):
        await each.take([event])
    assert (seen.here, heard) == (["a 1"], [1])


async def test_ids_are_stored_longer_than_retention(inbox: Inbox) -> None:
    await inbox.take([message("a", 1)])

    [row] = await remembered(inbox.database)
    assert 29 <= (row.expires_at - utc_now()).days <= 30


async def test_events_without_functions_are_skipped(inbox: Inbox, seen: Seen) -> None:
    await inbox.take([message("a", 1, type="test.happened.v9")])
    await inbox.take([])

    assert (seen.here, await remembered(inbox.database), await rows(inbox.database)) == ([], [], [])


async def test_unknown_fields_are_ignored(inbox: Inbox, seen: Seen) -> None:
    await inbox.take([message("a", 1, data={"mood": "good"})])
    assert seen.here == ["a 1"]


async def test_failing_event_is_dead_letter_after_three_attempts(inbox: Inbox, seen: Seen) -> None:
    seen.fails["a 2"] = ZeroDivisionError("no\nluck")
    bad = message("a", 2, requestid="abc")
    with capture_logs() as lines:
        await inbox.take([message("a", 1), bad, message("a", 3)])

    assert await effects(inbox.database) == ["a 1", "a 3"]
    assert seen.here == ["a 1", "a 2", "a 1", "a 2", "a 2", "a 2", "a 3"], "first as a batch, then one by one"
    [letter] = await rows(inbox.database)
    assert (letter.destination, letter.queue, letter.name) == ("consumers", seen.consumer.name, TYPE)
    assert (letter.attempts, letter.last_error, letter.request_id) == (3, "ZeroDivisionError: no", "abc")
    assert letter.dead_at is not None
    assert json.loads(letter.payload) == json.loads(bad)
    failures = [line for line in lines if line["event"].startswith("event ")]
    assert [line["log_level"] for line in failures] == ["warning", "warning", "error"]
    assert {line["error"] for line in failures} == {"ZeroDivisionError: no"}
    assert "_happened" in failures[-1]["exception"]

    await inbox.take([bad])
    assert len(await rows(inbox.database)) == 1
    assert len(seen.here) == 7


@pytest.mark.parametrize("attempt", [1, 2, 3])
async def test_event_that_succeeds_on_retry_is_handled(inbox: Inbox, seen: Seen, attempt: int) -> None:
    class Early(dict[str, Exception]):
        """Failures before that attempt; the attempt of the batch does not count."""

        def __contains__(self, what: object) -> bool:
            return seen.here.count(str(what)) <= attempt

    seen.fails = Early({"a 1": ZeroDivisionError()})
    await inbox.take([message("a", 1)])

    assert await effects(inbox.database) == ["a 1"]
    assert len(seen.here) == 1 + attempt
    assert await rows(inbox.database) == []


async def test_contract_violation_is_dead_letter_without_retry(inbox: Inbox, seen: Seen) -> None:
    with capture_logs() as lines:
        await inbox.take([message("a", data={"number": "hunter2"}), message("a", 2)])

    assert seen.here == ["a 2"]
    [letter] = await rows(inbox.database)
    assert letter.last_error.startswith("BrokenPromise: ValidationError: number: Input should be a valid integer")
    assert letter.attempts == 1
    assert "hunter2" not in f"{letter.last_error}{lines}"


@pytest.mark.parametrize("code", ["57014", "40P01", "55P03"])  # timeout, deadlock, lock: other events are unaffected
async def test_failing_statement_is_not_an_outage(inbox: Inbox, seen: Seen, code: str) -> None:
    seen.fails["a 1"] = OperationalError("SELECT 1", {}, Refused(code))
    await inbox.take([message("a", 1), message("a", 2)])

    assert await effects(inbox.database) == ["a 2"]
    [letter] = await rows(inbox.database)
    assert letter.last_error == f"OperationalError: {code}"


async def test_pauses_of_failing_batch_are_limited(inbox: Inbox, seen: Seen) -> None:
    """Kafka reassigns the partitions after 5 minutes."""
    inbox.pauses_seconds, inbox.patience_seconds = (60, 60), 0
    seen.fails = {f"a {number}": ZeroDivisionError() for number in range(20)}
    async with asyncio.timeout(TIMEOUT_SECONDS):
        await inbox.take([message("a", number) for number in range(20)])

    assert len(await rows(inbox.database)) == 20


async def test_database_error_is_stored_without_values(inbox: Inbox) -> None:
    await inbox.take([message("hunter2", 1)])
    with capture_logs() as lines:
        await inbox.take([message("hunter2", 1)])  # another event, with the same effect

    [letter] = await rows(inbox.database)
    assert letter.last_error.startswith("IntegrityError: ")
    assert "hunter2" not in f"{lines}{letter.last_error}"


@pytest.mark.parametrize(
    "junk",
    [b"", b"hunter2", b"{}", b"\x00\x00\x00\x00\x07avro", b"\xff\xfe", json.dumps({"id": "1"}).encode()],
)
async def test_invalid_message_is_dead_letter(inbox: Inbox, seen: Seen, junk: bytes) -> None:
    with capture_logs() as lines:
        await inbox.take([message("a", 1), junk, message("a", 2)])
        await inbox.take([junk])

    assert seen.here == ["a 1", "a 2"]
    [letter] = await rows(inbox.database)
    assert (letter.queue, letter.name, letter.request_id) == (seen.consumer.name, "unknown", "")
    assert letter.payload == junk.decode(errors="replace").replace("\x00", "\ufffd")
    assert letter.last_error.startswith("ValidationError: ")
    assert lines[0]["event"] == "invalid event"
    assert "hunter2" not in str(lines)


async def test_event_with_nul_is_dead_letter(inbox: Inbox, seen: Seen) -> None:
    nul = message("a", 1, data={"who": "a\x00b"})
    with capture_logs() as lines:
        await inbox.take([nul, message("a", 2)])

    assert seen.here[-1] == "a 2"
    if inbox.database.writers.kw["bind"].dialect.name == "postgresql":  # SQLite stores it
        [letter] = await rows(inbox.database)
        assert json.loads(letter.payload)["data"]["who"] == "a\x00b"
        assert lines


@pytest.mark.parametrize("error", AWAY, ids=str)
async def test_outage_is_raised_to_retry_the_batch(inbox: Inbox, seen: Seen, error: Exception) -> None:
    batch = [message("a", 1), message("a", 2), message("a", 3)]
    seen.fails["a 2"] = error
    with pytest.raises(type(error)):
        await inbox.take(batch)
    assert (await effects(inbox.database), await remembered(inbox.database), await rows(inbox.database)) == ([], [], [])

    seen.fails.clear()
    await inbox.take(batch)
    assert await effects(inbox.database) == ["a 1", "a 2", "a 3"]


async def test_retry_later_after_another_failure_is_raised(inbox: Inbox, seen: Seen) -> None:
    batch = [message("a", 1), message("a", 2)]
    seen.fails = {"a 1": ZeroDivisionError(), "a 2": TryAgain()}
    with pytest.raises(TryAgain):
        await inbox.take(batch)
    seen.fails.clear()
    await inbox.take(batch)

    assert await effects(inbox.database) == ["a 2"]
    assert len(await rows(inbox.database)) == 1, "the event that failed is a dead letter"


@pytest.fixture
async def letter(inbox: Inbox, seen: Seen) -> Replays:
    """A poller that handles one replayed dead letter."""
    seen.fails["a 1"] = ZeroDivisionError()
    await inbox.take([message("a", 1)])
    seen.here.clear()
    return Replays(inbox.database, 0.01)


async def replay(database: Database) -> None:
    """Replay all dead letters, like `app dead-letters replay --all`."""
    async with transaction(database.writers) as session:
        assert await OutboxRepository(session).replay(None) == 1


async def test_dead_letter_is_handled_after_replay(letter: Replays, seen: Seen) -> None:
    seen.fails.clear()
    assert await letter.run_once() == 0

    await replay(letter.database)
    async with relaying(letter):
        await until(lambda: seen.here == ["a 1"])
        await until(lambda: _none_left(letter.database))
    assert await effects(letter.database) == ["a 1"]
    assert seen.here == ["a 1"]


async def _none_left(database: Database) -> bool:
    return not await rows(database)


async def test_failed_replay_is_dead_letter_again(letter: Replays, seen: Seen) -> None:
    seen.fails["a 1"] = ZeroDivisionError("still")
    await replay(letter.database)
    with capture_logs() as lines:
        assert await letter.run_once() == 1

    assert await effects(letter.database) == []
    [row] = await rows(letter.database)
    assert (row.attempts, row.last_error, row.dead_at is None) == (1, "ZeroDivisionError: still", False)
    assert [line["event"] for line in lines] == ["dead letter replay failed"]
    assert await letter.run_once() == 0


async def test_replay_with_retry_later_stays_pending(letter: Replays, seen: Seen) -> None:
    seen.fails["a 1"] = TryAgain()
    await replay(letter.database)
    with capture_logs() as lines:
        assert await letter.run_once() == 1

    [row] = await rows(letter.database)
    assert row.dead_at is None
    assert row.due_at > utc_now()
    assert await effects(letter.database) == []
    assert [line["event"] for line in lines] == ["dead letter replay postponed"]
    assert await letter.run_once() == 0, "it must not block later ones"


async def test_replay_waits_for_outage(letter: Replays, seen: Seen) -> None:
    seen.fails["a 1"] = OperationalError("SELECT 1", {}, OSError("gone"))
    await replay(letter.database)
    with pytest.raises(OperationalError):
        await letter.run_once()

    [row] = await rows(letter.database)
    assert (row.dead_at, row.attempts) == (None, 0)


async def test_replay_handles_only_its_consumers(letter: Replays, seen: Seen) -> None:
    seen.fails.clear()
    await replay(letter.database)

    assert await Replays(letter.database, 0.01, ["another"]).run_once() == 0
    assert await Replays(letter.database, 0.01, [seen.consumer.name]).run_once() == 1
    assert await effects(letter.database) == ["a 1"]


async def test_dead_letter_of_removed_consumer_fails(inbox: Inbox, letter: Replays) -> None:
    async with transaction(letter.database.writers) as session:
        for row in await rows(letter.database):
            row.queue = "gone"
            await session.merge(row)
    await replay(letter.database)
    await letter.run_once()

    [row] = await rows(letter.database)
    assert row.last_error.startswith("LookupError: No consumer has the name gone. Consumers: ")
