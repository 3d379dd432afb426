"""Objects that the parts of a running application share, and the hooks of features."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastapi import FastAPI, Request

from app.core.config import Settings

CHECK_TIMEOUT_SECONDS = 2.0

T = TypeVar("T")
Lifespan = Callable[["Runtime"], AbstractAsyncContextManager[None]]
HealthCheck = Callable[["Runtime"], Awaitable[None]]


@dataclass
class Runtime:
    """What the parts of one application share.

    Features store their objects by type: `runtime[Database] = database`. Dependencies read them:
    `runtime_of(request)[Database]`.

    Attributes:
        settings: Core settings.
        draining: Whether the process has been asked to stop. It is no longer ready.
        stopping: Set when the server stops accepting connections, after the shutdown delay.
        health_checks: Readiness checks by name, each with its time limit in seconds.
    """

    settings: Settings
    draining: bool = False
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    health_checks: dict[str, tuple[HealthCheck, float]] = field(default_factory=dict)
    _objects: dict[type, Any] = field(default_factory=dict)

    def __getitem__(self, kind: type[T]) -> T:
        """Return the object of a type.

        Raises:
            LookupError: If no feature has stored one.
        """
        try:
            return self._objects[kind]
        except KeyError:
            raise LookupError(
                f"No {kind.__name__} is available: its feature must be in app/features.py, and running."
            ) from None

    def __setitem__(self, kind: type[T], value: T) -> None:
        self._objects[kind] = value

    def add_check(self, name: str, check: HealthCheck, timeout_seconds: float = CHECK_TIMEOUT_SECONDS) -> None:
        """Register a readiness check, which must raise an exception if its dependency is unavailable.

        Raises:
            ValueError: If another check has the name; one of them would not run.
        """
        if name in self.health_checks:
            raise ValueError(f"A health check with the name {name!r} is already registered.")
        self.health_checks[name] = check, timeout_seconds


@dataclass(frozen=True)
class Feature:
    """A package of `app` that takes part in starting the application. Each hook may be left out.

    Attributes:
        setup: Adds routes, exception handlers, middleware and settings while the application is built.
        lifespan: Keeps the resources of the feature open while the application runs.
        prepare_development: Sets missing environment variables before the development server starts (`ENV=dev`).
        commands: Names of modules whose `COMMANDS` the command line offers.
    """

    setup: Callable[[FastAPI, Runtime], None] | None = None
    lifespan: Lifespan | None = None
    prepare_development: Callable[[], None] | None = None
    commands: tuple[str, ...] = ()


def runtime_of(source: FastAPI | Request) -> Runtime:
    """Return the runtime of an application, or of the one that handles a request."""
    app: FastAPI = source.app if isinstance(source, Request) else source
    return app.state.runtime
