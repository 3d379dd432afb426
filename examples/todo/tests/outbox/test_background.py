"""Background tasks: a stop lets running work finish, within a time limit."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from app.core.runtime import Runtime, runtime_of
from app.db.session import Database
from app.main import create_app
from app.outbox import BackgroundWork
from app.outbox.background import finish_before_cancel, run_in_background
from tests.waiting import wait_until

steps: list[str] = []


@pytest.fixture(autouse=True)
def _clear_steps() -> None:
    steps.clear()


async def work(proceed: asyncio.Event) -> str:
    steps.append("begun")
    await proceed.wait()
    steps.append("ended")
    return "done"


async def test_result_is_returned() -> None:
    proceed = asyncio.Event()
    proceed.set()
    assert await finish_before_cancel(work(proceed)) == "done"


async def test_work_finishes_before_cancellation() -> None:
    proceed = asyncio.Event()
    waiting = asyncio.create_task(finish_before_cancel(work(proceed)))
    await wait_until(lambda: steps == ["begun"])
    waiting.cancel()
    await asyncio.sleep(0)
    proceed.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert steps == ["begun", "ended"]


async def test_work_is_cancelled_after_timeout() -> None:
    waiting = asyncio.create_task(finish_before_cancel(work(asyncio.Event()), timeout_seconds=0.05))
    await wait_until(lambda: steps == ["begun"])
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert steps == ["begun"]


async def test_error_is_raised_unless_cancelled() -> None:
    proceed = asyncio.Event()

    async def fail() -> None:
        await work(proceed)
        raise ZeroDivisionError

    waiting = asyncio.create_task(finish_before_cancel(fail()))
    await wait_until(lambda: steps == ["begun"])
    waiting.cancel()
    proceed.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(ZeroDivisionError):
        await finish_before_cancel(fail())


async def test_error_of_background_task_is_logged() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with capture_logs() as lines:
        async with run_in_background(fail()):
            await wait_until(lambda: bool(lines))
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("background task stopped unexpectedly, restart this process", "critical")
    ]


async def test_background_task_runs_during_block() -> None:
    ended: list[bool] = []

    async def wait_forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async with run_in_background(wait_forever()):
        await asyncio.sleep(0)
        assert ended == []
    assert ended == [True]


def test_background_work_runs_after_the_features_have_started() -> None:
    @asynccontextmanager
    async def background_work(runtime: Runtime) -> AsyncGenerator[None]:
        assert runtime[Database]
        steps.append("begun")
        yield
        assert not runtime.stopping.is_set()
        steps.append("ended")

    app = create_app()
    runtime_of(app)[BackgroundWork] = BackgroundWork([background_work])
    with TestClient(app):
        assert steps == ["begun"]
    assert steps == ["begun", "ended"]
