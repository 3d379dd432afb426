"""Replayed dead letters of consumers."""

from typing import Any

import pytest
from sqlalchemy import false
from sqlmodel.sql.expression import SelectOfScalar

from app.db.base import utc_now
from app.db.session import Database
from app.messaging.dead_letter_replay import DeadLetterReplay
from app.outbox.models import OutboxMessage
from tests.command_line import run_command
from tests.outbox.conftest import commit_messages, make_message, outbox_rows


class ReplayWithConcurrentLock(DeadLetterReplay):
    """Finds a dead letter that another process then locks."""

    queries = 0

    def _oldest_replayed(self) -> SelectOfScalar[OutboxMessage]:
        self.queries += 1
        return super()._oldest_replayed() if self.queries == 1 else super()._oldest_replayed().where(false())


async def test_dead_letter_locked_by_another_process_is_skipped(empty_database: Database) -> None:
    await commit_messages(
        empty_database, make_message("user.registered.v1", destination="consumers", queue="statistics")
    )
    replay = ReplayWithConcurrentLock(empty_database, poll_seconds=1)

    assert await replay.run_once() == 0
    assert replay.queries == 2
    assert len(await outbox_rows(empty_database)) == 1


@pytest.mark.parametrize("chosen", ["all", "id"])
async def test_dead_letter_without_consumer_is_not_replayed(empty_database: Database, chosen: str) -> None:
    fields: dict[str, Any] = {"destination": "consumers", "dead_at": utc_now()}
    await commit_messages(
        empty_database,
        make_message("user.registered.v1", queue="statistics", **fields),
        make_message("user.registered.v1", queue="removed", **fields),
    )
    [known, removed] = await outbox_rows(empty_database)
    result = run_command("dead-letters", "replay", "--all" if chosen == "all" else removed.id)

    assert (result.exit_code, result.stderr) == (
        1,
        "No consumer has the name removed. Drop these dead letters, or restore the consumer.\n",
    )
    assert [row.dead_at is None for row in await outbox_rows(empty_database)] == [False, False]
    assert run_command("dead-letters", "replay", known.id).output == "1 will be retried\n"
