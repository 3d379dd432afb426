"""Health: is the process alive, and can it do its work?

A feature adds what it depends on with `add_check`; each check has a time limit, so a
hanging dependency makes the answer late by that much and no more.
"""

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum

import structlog
from fastapi import APIRouter, FastAPI, Request, Response, status
from pydantic import BaseModel

from app import __version__

CHECK_TIMEOUT_SECONDS = 2.0

Check = Callable[[FastAPI], Awaitable[None]]

_late: set[asyncio.Future[None]] = set()  # asyncio itself keeps weak references only

logger = structlog.get_logger(__name__)
router = APIRouter(prefix="/health", tags=["health"])


class Status(StrEnum):
    """Whether something can be used."""

    OK = "ok"
    UNAVAILABLE = "unavailable"


class Liveness(BaseModel):
    """The process runs."""

    status: Status = Status.OK


class Health(BaseModel):
    """Whether requests can be served, and which part cannot be used."""

    status: Status
    version: str
    checks: dict[str, Status]


def add_check(app: FastAPI, name: str, check: Check, timeout_seconds: float = CHECK_TIMEOUT_SECONDS) -> None:
    """Make `check`, which raises when its dependency cannot be used, part of the readiness."""
    app.state.health_checks[name] = check, timeout_seconds


@router.get("/live", summary="Is the process alive?")
async def live() -> Liveness:
    """Answer at once, without looking at anything else: restart the process if this fails."""
    return Liveness()


@router.get("/ready", summary="Can it serve requests?", responses={503: {"model": Health}})
async def ready(request: Request, response: Response) -> Health:
    """Try each dependency: send no traffic here while this answers 503."""
    app: FastAPI = request.app
    checks: dict[str, tuple[Check, float]] = app.state.health_checks
    if app.state.stopping.is_set():
        results = [Status.UNAVAILABLE for _ in checks]
    else:
        results = await asyncio.gather(*(_try(app, name, *check) for name, check in checks.items()))
    healthy = all(result is Status.OK for result in results) and not app.state.stopping.is_set()
    if not healthy:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return Health(
        status=Status.OK if healthy else Status.UNAVAILABLE,
        version=__version__,
        checks=dict(zip(checks, results, strict=True)),
    )


@router.get("", summary="The same as /health/ready", responses={503: {"model": Health}})
async def health(request: Request, response: Response) -> Health:
    """Answer as `/health/ready` does, for monitors that expect it here."""
    return await ready(request, response)


async def _try(app: FastAPI, name: str, check: Check, timeout_seconds: float) -> Status:
    """Run one check within its time limit; why it failed goes to the log, not to the client.

    A check that is late is cancelled and not waited for: its clean-up may hang as it does.
    """
    task = asyncio.ensure_future(check(app))
    await asyncio.wait({task}, timeout=timeout_seconds)
    if not task.done():
        _late.add(task)
        task.add_done_callback(_forget)
        task.cancel()
        logger.warning("not ready", check=name, error=f"no answer within {timeout_seconds:g} seconds")
        return Status.UNAVAILABLE
    if error := task.exception():
        logger.warning("not ready", check=name, error=f"{type(error).__name__}: {error}")
        return Status.UNAVAILABLE
    return Status.OK


def _forget(task: asyncio.Future[None]) -> None:
    """Take note of how a late check ended, which nobody else does."""
    _late.discard(task)
    if not task.cancelled():
        task.exception()
