"""The services as separate processes: health checks, and emails triggered by events of another process."""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID

import httpx2
import pytest

from app.db.session import Database, transaction
from app.events import contracts
from app.events.development import broker
from app.modules.user.models import User
from app.modules.user.service import UserService
from tests.events.conftest import store
from tests.factories import UserCreateFactory
from tests.mail.conftest import HOST, Server, server, start_server
from tests.outbox.conftest import rows
from tests.outbox.processes import process
from tests.waiting import TIMEOUT_SECONDS, until

__all__ = ["server", "start_server", "store"]


@pytest.fixture
def variables(server: Server) -> Iterator[dict[str, str]]:
    """Environment variables of all processes."""
    with broker(contracts.topics()) as address:
        yield {
            "KAFKA_BOOTSTRAP_SERVERS": address,
            "OUTBOX_POLL_SECONDS": "0.05",
            "SMTP_HOST": HOST,
            "SMTP_PORT": str(server.port),
            "SMTP_TLS": "none",
        }


async def register(database: Database, name: str) -> UUID:
    async with transaction(database.writers) as session:
        user: User = await UserService(session).register(UserCreateFactory.build(email=f"{name}@example.com"))
    return user.id


async def is_relayed(database: Database) -> bool:
    return "kafka" not in {row.destination for row in await rows(database)}


async def written_to(server: Server, *names: str) -> bool:
    return [str(mail["To"]).partition("@")[0] for mail in server.mails] == list(names)


async def test_events_are_emailed_by_another_process_and_shutdown_loses_nothing(
    store: Database, server: Server, variables: dict[str, str], tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        for name in ("auth", "api", "scheduler"):
            service = await stack.enter_async_context(process(f"service {name}", tmp_path, **variables))
            await service.checks()
            me = httpx2.get(f"{service.url}/api/v1/auth/me", timeout=TIMEOUT_SECONDS)
            assert me.status_code == (401 if name == "auth" else 404)
        await register(store, "ada")  # neither the relay nor the mailer is running
        relay = await stack.enter_async_context(process("relay", tmp_path, **variables))
        assert await relay.checks()
        await until(lambda: is_relayed(store))
        assert await written_to(server)
        async with process("service mailer", tmp_path, **variables) as mailer:
            assert await mailer.checks()
            await until(lambda: written_to(server, "ada"))
        await register(store, "eve")
        await until(lambda: is_relayed(store))
        assert await written_to(server, "ada")
        async with process("service mailer", tmp_path, **variables) as mailer:
            assert await mailer.checks()
            await until(lambda: written_to(server, "ada", "eve"))
