"""Of two that look for what was replayed, one does it."""

from sqlalchemy import false
from sqlmodel.sql.expression import SelectOfScalar

from app.db.session import Database
from app.events.replays import Replays
from app.outbox.models import OutboxEvent
from tests.outbox.conftest import add, event, rows


class Late(Replays):
    """Sees it, and then it is another's."""

    looks = 0

    def _due(self) -> SelectOfScalar[OutboxEvent]:
        self.looks += 1
        return super()._due() if self.looks == 1 else super()._due().where(false())


async def test_what_another_one_has_is_left_to_it(store: Database) -> None:
    await add(store, event("user.registered.v1", destination="consumers", queue="statistics"))
    late = Late(store, poll_seconds=1)

    assert await late.run_once() == 0
    assert late.looks == 2
    assert len(await rows(store)) == 1
