"""Concurrent processes handle each replayed dead letter once."""

from sqlalchemy import false
from sqlmodel.sql.expression import SelectOfScalar

from app.db.session import Database
from app.events.replays import Replays
from app.outbox.models import OutboxEvent
from tests.outbox.conftest import add, event, rows


class Late(Replays):
    """Finds a dead letter that another process then locks."""

    looks = 0

    def _due(self) -> SelectOfScalar[OutboxEvent]:
        self.looks += 1
        return super()._due() if self.looks == 1 else super()._due().where(false())


async def test_dead_letter_locked_by_another_process_is_skipped(store: Database) -> None:
    await add(store, event("user.registered.v1", destination="consumers", queue="statistics"))
    late = Late(store, poll_seconds=1)

    assert await late.run_once() == 0
    assert late.looks == 2
    assert len(await rows(store)) == 1
