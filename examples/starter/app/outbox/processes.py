"""Processes in the background: how they are served, and the one that relays."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Annotated

import typer
from fastapi import FastAPI
from uvicorn.importer import import_from_string

from app.core import server
from app.core.config import Settings, load_all
from app.outbox.relay import Relay, relaying

RELAY_PORT = 8102

Host = Annotated[str, typer.Option(help="Address on which it tells its health.")]
Port = Annotated[int, typer.Option(min=1, max=65535, help="Port on which it tells its health.")]
# Opens the way to one destination.
OpenRelay = Callable[[FastAPI], AbstractAsyncContextManager[Relay]]


def serve(factory: str, settings: Settings, host: str, port: int, *arguments: str) -> None:
    """Serve a process in the background, for those who ask about its health.

    Args:
        factory: What makes its app: `module:function`.
        settings: How to serve.
        host: Address to listen on.
        port: Port to listen on.
        arguments: What the factory is called with.
    """
    server.require_free(host, port, host_from="--host", another="--port 8111")
    load_all()
    server.run(partial(import_from_string(factory), *arguments), settings, host, port)


@asynccontextmanager
async def relay(app: FastAPI) -> AsyncGenerator[None]:
    """Relay to every destination, each on its own: one that is away holds up no other."""
    async with AsyncExitStack() as stack:
        for open_relay in app.state.relays:
            await stack.enter_async_context(running(await stack.enter_async_context(open_relay(app)), app))
        yield


@asynccontextmanager
async def running(relay: Relay, app: FastAPI) -> AsyncGenerator[None]:
    """Run a relay, and let commits wake it where the database can do that."""
    async with AsyncExitStack() as stack:
        for waking in app.state.relay_wakers:
            await stack.enter_async_context(waking(relay.wake))
        await stack.enter_async_context(relaying(relay))
        yield
