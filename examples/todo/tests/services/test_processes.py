"""The services as separate processes: health checks, and emails triggered by events of another process."""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID

import httpx2
import pytest

from app.db.session import Database, transaction
from app.messaging import contracts
from app.messaging.development import broker
from app.modules.user.models import User
from app.modules.user.service import UserService
from tests.factories import UserCreateFactory
from tests.jobs.conftest import redis_url
from tests.mail.conftest import HOST, FakeMailServer, server, start_server
from tests.messaging.conftest import empty_database
from tests.outbox.conftest import outbox_rows
from tests.processes import start_process
from tests.waiting import TIMEOUT_SECONDS, wait_until

__all__ = ["empty_database", "redis_url", "server", "start_server"]


@pytest.fixture
def variables(server: FakeMailServer, redis_url: str) -> Iterator[dict[str, str]]:
    """Environment variables of all processes."""
    with broker(contracts.all_topics()) as address:
        yield {
            "KAFKA_BOOTSTRAP_SERVERS": address,
            "REDIS_URL": redis_url,
            "OUTBOX_POLL_SECONDS": "0.05",
            "SMTP_HOST": HOST,
            "SMTP_PORT": str(server.port),
            "SMTP_TLS": "none",
        }


async def register(database: Database, name: str) -> UUID:
    async with transaction(database.write) as session:
        user: User = await UserService(session).register(UserCreateFactory.build(email=f"{name}@example.com"))
    return user.id


async def all_events_are_relayed(database: Database) -> bool:
    """Ignores jobs, which the scheduler may add while no worker runs."""
    return not [row for row in await outbox_rows(database) if row.destination == "kafka"]


async def emails_were_sent_to(server: FakeMailServer, *names: str) -> bool:
    return [str(email["To"]).partition("@")[0] for email in server.emails] == list(names)


async def test_events_are_emailed_by_another_process_and_shutdown_loses_nothing(
    empty_database: Database, server: FakeMailServer, variables: dict[str, str], tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        for name in ("auth", "api", "scheduler"):
            service = await stack.enter_async_context(start_process(f"run {name}", tmp_path, **variables))
            await service.wait_until_ready()
            me = httpx2.get(f"{service.url}/api/v1/auth/me", timeout=TIMEOUT_SECONDS)
            assert me.status_code == (401 if name == "auth" else 404)
        await register(empty_database, "ada")  # neither the relay nor the mailer is running
        relay = await stack.enter_async_context(start_process("run relay", tmp_path, **variables))
        assert await relay.wait_until_ready()
        await wait_until(lambda: all_events_are_relayed(empty_database))
        assert await emails_were_sent_to(server)
        async with start_process("run mailer", tmp_path, **variables) as mailer:
            assert await mailer.wait_until_ready()
            await wait_until(lambda: emails_were_sent_to(server, "ada"))
        await register(empty_database, "eve")
        await wait_until(lambda: all_events_are_relayed(empty_database))
        assert await emails_were_sent_to(server, "ada")
        async with start_process("run mailer", tmp_path, **variables) as mailer:
            assert await mailer.wait_until_ready()
            await wait_until(lambda: emails_were_sent_to(server, "ada", "eve"))
