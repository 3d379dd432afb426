"""Concurrent processes handle each replayed dead letter once."""

from sqlalchemy import false
from sqlmodel.sql.expression import SelectOfScalar

from app.db.session import Database
from app.messaging.dead_letter_replay import DeadLetterReplay
from app.outbox.models import OutboxMessage
from tests.outbox.conftest import commit_messages, make_message, outbox_rows


class Late(DeadLetterReplay):
    """Finds a dead letter that another process then locks."""

    looks = 0

    def _due(self) -> SelectOfScalar[OutboxMessage]:
        self.looks += 1
        return super()._due() if self.looks == 1 else super()._due().where(false())


async def test_dead_letter_locked_by_another_process_is_skipped(empty_database: Database) -> None:
    await commit_messages(
        empty_database, make_message("user.registered.v1", destination="consumers", queue="statistics")
    )
    late = Late(empty_database, poll_seconds=1)

    assert await late.run_once() == 0
    assert late.looks == 2
    assert len(await outbox_rows(empty_database)) == 1
