"""The front door: builds the application from its parts.

Nothing is configured when this module is imported. Servers call `create_app`, or ask
for `app`, which is built when it is first asked for (`fastapi dev app/main.py` does).
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import cache
from typing import Any

from fastapi import APIRouter, FastAPI

from app import __version__
from app.api import router
from app.core import exception_handlers, health, middlewares, openapi
from app.core.config import Settings, load
from app.core.logging import configure_logging
from app.core.shutdown import noticing_shutdown
from app.features import FEATURES

Part = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(
    settings: Settings | None = None,
    routes: APIRouter = router,
    background: Sequence[Part] | None = None,
) -> FastAPI:
    """Build the application.

    Args:
        settings: The core settings; read from the environment if not given.
        routes: What it answers, beside questions about its health.
        background: What it does beside answering. If not given: what no other process does.

    Raises:
        ConfigurationError: If the environment does not allow a start.
    """
    settings = settings or load(Settings)
    configure_logging(settings)
    about = openapi.about()
    app = FastAPI(
        title=about["title"],
        description=about["description"],
        version=__version__,
        lifespan=_lifespan,
        middleware=middlewares.stack(settings),
        exception_handlers=exception_handlers.HANDLERS,
        generate_unique_id_function=openapi.operation_id,
    )
    app.state.settings = settings
    app.state.stopping = asyncio.Event()
    app.state.health_checks = {}
    app.state.by_itself = []  # features add what no other process does, as in development
    openapi.install(app)
    app.include_router(health.router, responses=openapi.EVERY_ROUTE)
    app.include_router(routes)
    for feature in FEATURES:
        feature.setup(app)
    app.state.background = app.state.by_itself if background is None else background
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Open the features in order, then what uses them; close all of it in reverse."""
    async with AsyncExitStack() as stack:
        for feature in FEATURES:
            await stack.enter_async_context(feature.lifespan(app))
        for part in app.state.background:
            await stack.enter_async_context(part(app))
        with noticing_shutdown(app.state.stopping):
            yield


@cache
def _app() -> FastAPI:
    return create_app()


def __dir__() -> list[str]:
    return [*globals(), "app"]


def __getattr__(name: str) -> Any:
    """Build `app` when somebody asks for it, so that importing this module configures nothing."""
    if name == "app":
        return _app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
