"""The application factory.

Importing this module configures nothing. Servers call `create_app`, or use `app`, which
is built on first access (`fastapi dev app/main.py` does that).
"""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from typing import Any

from fastapi import APIRouter, FastAPI

from app import __version__
from app.api import router
from app.core import exception_handlers, health, middlewares, openapi
from app.core.config import Settings, load
from app.core.logging import configure_logging
from app.core.runtime import Runtime, runtime_of
from app.core.shutdown import watch_shutdown_signals
from app.features import FEATURES


def create_app(settings: Settings | None = None, routes: APIRouter = router) -> FastAPI:
    """Create the application.

    Args:
        settings: Core settings; read from the environment by default.
        routes: Routes to serve, in addition to the health checks.

    Raises:
        ConfigurationError: If a setting is missing or invalid.
    """
    settings = settings or load(Settings)
    configure_logging(settings)
    about = openapi.api_metadata()
    app = FastAPI(
        title=about["title"],
        description=about["description"],
        version=__version__,
        lifespan=_lifespan,
        middleware=middlewares.build_middleware(settings),
        exception_handlers=exception_handlers.HANDLERS,
        generate_unique_id_function=openapi.operation_id,
        redirect_slashes=False,  # Starlette builds these redirects from the Host header, which any client can set.
    )
    runtime = app.state.runtime = Runtime(settings)
    openapi.customize_openapi(app)
    app.include_router(health.router, responses=openapi.EVERY_ROUTE)
    app.include_router(routes)
    for setup in filter(None, (feature.setup for feature in FEATURES)):
        setup(app, runtime)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Start the features in order; stop them in reverse order."""
    runtime = runtime_of(app)
    async with AsyncExitStack() as stack:
        for lifespan in filter(None, (feature.lifespan for feature in FEATURES)):
            await stack.enter_async_context(lifespan(runtime))
        with watch_shutdown_signals(runtime):
            yield


@cache
def _app() -> FastAPI:
    return create_app()


def __dir__() -> list[str]:
    return [*globals(), "app"]


def __getattr__(name: str) -> Any:
    """Build `app` on first access, so that importing this module configures nothing."""
    if name == "app":
        return _app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
