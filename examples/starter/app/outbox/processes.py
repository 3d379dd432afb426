"""Background processes: an HTTP server for their health, and the relay process."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Annotated

import typer
from fastapi import FastAPI
from uvicorn.importer import import_from_string

from app.core import server
from app.core.config import Settings, load_all
from app.outbox.poller import OutboxPoller, run_poller

RELAY_PORT = 8102

Host = Annotated[str, typer.Option(help="Address to listen on (health checks).")]
Port = Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on (health checks).")]
# Connects to a destination, and yields the relay to it.
OpenRelay = Callable[[FastAPI], AbstractAsyncContextManager[OutboxPoller]]


def serve(factory: str, settings: Settings, host: str, port: int, *arguments: str) -> None:
    """Run a background process, with an HTTP server for its health checks.

    Args:
        factory: App factory, as `module:function`.
        settings: Settings of the server.
        host: Address to listen on.
        port: Port to listen on.
        arguments: Arguments of the factory.
    """
    server.ensure_port_is_free(host, port, host_from="--host", another="--port 8111")
    load_all()
    server.run(partial(import_from_string(factory), *arguments), settings, host, port)


@asynccontextmanager
async def relay(app: FastAPI) -> AsyncGenerator[None]:
    """Run a relay for each destination. They are independent: an unavailable destination does not delay the others."""
    async with AsyncExitStack() as stack:
        for open_relay in app.state.relays:
            await stack.enter_async_context(run_relay(await stack.enter_async_context(open_relay(app)), app))
        yield


@asynccontextmanager
async def run_relay(relay: OutboxPoller, app: FastAPI) -> AsyncGenerator[None]:
    """Run a relay, woken by commits if the database supports notifications."""
    async with AsyncExitStack() as stack:
        for waking in app.state.relay_wakers:
            await stack.enter_async_context(waking(relay.wake))
        await stack.enter_async_context(run_poller(relay))
        yield
