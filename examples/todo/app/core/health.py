"""Health endpoints: liveness and readiness.

Features register a check for each of their dependencies with `Runtime.add_check`.
"""

import asyncio
from enum import StrEnum

import structlog
from fastapi import APIRouter, Request, Response, status
from pydantic import BaseModel

from app import __version__
from app.core.runtime import HealthCheck, Runtime, runtime_of

_abandoned_checks: set[asyncio.Future[None]] = set()  # asyncio keeps only weak references to tasks

logger = structlog.get_logger(__name__)
router = APIRouter(prefix="/health", tags=["health"])


class Status(StrEnum):
    """Status of the service or of a dependency."""

    OK = "ok"
    UNAVAILABLE = "unavailable"


class Liveness(BaseModel):
    """Response of the liveness probe."""

    status: Status = Status.OK


class Health(BaseModel):
    """Response of the readiness probe, with the status of each dependency."""

    status: Status
    version: str
    checks: dict[str, Status]


@router.get("/live", summary="Liveness probe")
async def live() -> Liveness:
    """Return `ok` without checking any dependency. Restart the process if this fails."""
    return Liveness()


@router.get("/ready", summary="Readiness probe", responses={503: {"model": Health}})
async def ready(request: Request, response: Response) -> Health:
    """Check all dependencies. Send no traffic to this process while the response is 503."""
    runtime = runtime_of(request)
    checks = runtime.health_checks
    if runtime.draining:
        results = [Status.UNAVAILABLE for _ in checks]
    else:
        results = await asyncio.gather(*(_run_check(runtime, name, *check) for name, check in checks.items()))
    healthy = all(result is Status.OK for result in results) and not runtime.draining
    if not healthy:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return Health(
        status=Status.OK if healthy else Status.UNAVAILABLE,
        version=__version__,
        checks=dict(zip(checks, results, strict=True)),
    )


@router.get("", summary="Same as /health/ready", responses={503: {"model": Health}})
async def health(request: Request, response: Response) -> Health:
    """Return the same as `/health/ready`, for monitoring tools that expect this path."""
    return await ready(request, response)


async def _run_check(runtime: Runtime, name: str, check: HealthCheck, timeout_seconds: float) -> Status:
    """Run a check with its timeout. The reason for a failure is logged, not sent to the client.

    A check that times out is cancelled but not awaited, because its cleanup may hang as well.
    """
    task = asyncio.ensure_future(check(runtime))
    await asyncio.wait({task}, timeout=timeout_seconds)
    if not task.done():
        _abandoned_checks.add(task)
        task.add_done_callback(_consume_result)
        task.cancel()
        logger.warning("health check failed", check=name, error=f"timed out after {timeout_seconds:g} seconds")
        return Status.UNAVAILABLE
    if error := task.exception():
        logger.warning("health check failed", check=name, error=f"{type(error).__name__}: {error}")
        return Status.UNAVAILABLE
    return Status.OK


def _consume_result(task: asyncio.Future[None]) -> None:
    """Retrieve the exception of an abandoned check, so that asyncio does not log it."""
    _abandoned_checks.discard(task)
    if not task.cancelled():
        task.exception()
