"""The services as processes: each answers for its health, and a to-do that becomes due leads to a mail."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
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
from tests.outbox.conftest import until
from tests.test_cli import free_port

__all__ = ["server", "start_server", "store"]

PATIENCE_SECONDS = 120


@pytest.fixture
def variables(server: Server) -> Iterator[dict[str, str]]:
    """What all of them are told."""
    with broker(contracts.topics()) as address:
        yield os.environ | {
            "KAFKA_BOOTSTRAP_SERVERS": address,
            "OUTBOX_POLL_SECONDS": "0.05",
            "SMTP_HOST": HOST,
            "SMTP_PORT": str(server.port),
            "SMTP_TLS": "none",
        }


@asynccontextmanager
async def process(folder: Path, variables: dict[str, str], *arguments: str) -> AsyncGenerator[str]:
    """Start one, wait until it is ready, and stop it as an orchestrator would."""
    command, port = str(Path(sys.executable).with_name("app")), free_port()
    started = await asyncio.create_subprocess_exec(
        command, *arguments, "--port", str(port), cwd=folder, env=variables, stderr=PIPE
    )
    url = f"http://127.0.0.1:{port}"
    try:
        await asyncio.wait_for(_ready(url), PATIENCE_SECONDS)
        yield url
    finally:
        with suppress(ProcessLookupError):
            started.terminate()
        _, written = await asyncio.wait_for(started.communicate(), PATIENCE_SECONDS)
    assert started.returncode == 0, written.decode()


async def _ready(url: str) -> None:
    async with httpx2.AsyncClient() as client:
        while True:
            with suppress(httpx2.TransportError):
                if (await client.get(f"{url}/health/ready")).status_code == 200:
                    return
            await asyncio.sleep(0.1)


async def register(database: Database, name: str) -> UUID:
    async with transaction(database.writers) as session:
        user: User = await UserService(session).register(UserCreateFactory.build(email=f"{name}@example.com"))
    return user.id


async def written_to(server: Server, *names: str) -> bool:
    return [str(mail["To"]).partition("@")[0] for mail in server.mails] == list(names)


async def test_what_happens_in_one_is_written_by_another_and_a_stop_loses_nothing(
    store: Database, server: Server, variables: dict[str, str], tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        for name in ("auth", "api", "scheduler"):
            url = await stack.enter_async_context(process(tmp_path, variables, "service", name))
            assert httpx2.get(f"{url}/api/v1/auth/me").status_code == (401 if name == "auth" else 404)
        await register(store, "ada")
        async with process(tmp_path, variables, "relay"), process(tmp_path, variables, "service", "mailer"):
            await until(lambda: written_to(server, "ada"))
        await register(store, "eve")  # nobody relays, and nobody writes
        async with process(tmp_path, variables, "relay"):
            await asyncio.sleep(0.5)
        assert await written_to(server, "ada")
        async with process(tmp_path, variables, "service", "mailer"):
            await until(lambda: written_to(server, "ada", "eve"))
