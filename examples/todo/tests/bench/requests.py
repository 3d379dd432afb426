"""A request that writes a row, compared with one that also enqueues a job."""

import statistics
import time
from typing import Any
from uuid import uuid4

from fastapi import APIRouter

from app.core.runtime import runtime_of
from app.db.base import utc_now
from app.db.session import Database, SessionDep
from app.jobs.scheduler import ScheduleState
from app.main import create_app
from tests.bench.environment import BenchEnvironment, Figure, record_start_time

ROUNDS, REQUESTS = 12, 100

router = APIRouter()


@router.post("/write", status_code=204)
async def write(session: SessionDep) -> None:
    session.add(ScheduleState(name=str(uuid4()), handled_until=utc_now()))


@router.post("/enqueue", status_code=204)
async def enqueue(session: SessionDep) -> None:
    session.add(ScheduleState(name=str(uuid4()), handled_until=utc_now()))
    record_start_time.enqueue(session, number=0)


async def measure(environment: BenchEnvironment) -> list[Figure]:
    """Measure the time of this process; the client takes almost none."""
    app = create_app(routes=router)
    runtime_of(app)[Database] = environment.database
    spent: dict[str, list[tuple[float, float]]] = {"/write": [], "/enqueue": []}
    for _ in range(ROUNDS):
        for path, rounds in spent.items():
            rounds.append(await _round(app, path))
    await environment.clear()
    figures = []
    for index, what in enumerate(("CPU of this process", "elapsed")):
        without, with_job = (statistics.median(pair[index] for pair in rounds[1:]) for rounds in spent.values())
        figures += [
            Figure(f"request that writes a row: {what}", f"{without:,.0f} µs"),
            Figure("… and enqueues a job", f"{with_job:,.0f} µs", f"{with_job / without:.2f} times as much"),
        ]
    return figures


async def _round(app: Any, path: str) -> tuple[float, float]:
    """Return the CPU time and the elapsed time of a request in microseconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(REQUESTS):
        await _post(app, path)
    return (time.process_time() - cpu) / REQUESTS * 1e6, (time.perf_counter() - wall) / REQUESTS * 1e6


async def _post(app: Any, path: str) -> None:
    """Send a request without a client library, which would take as long as the response."""
    messages: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "state": {},
        "headers": [(b"host", b"bench")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    await app(scope, receive, send)
    assert messages[0]["status"] == 204, messages
