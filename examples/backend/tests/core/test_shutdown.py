"""Detection of the shutdown."""

import asyncio
import os
import signal
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI, Request

from app.core.config import Settings
from app.core.runtime import Runtime, runtime_of
from app.core.shutdown import should_continue, sleep_or_stop, watch_shutdown_signals
from tests.conftest import run_in_thread
from tests.waiting import TIMEOUT_SECONDS


@pytest.fixture
def received() -> Generator[list[int]]:
    """Signals that reach the previous handler, which is uvicorn's in production."""
    numbers: list[int] = []

    def handle(number: int, _: Any) -> None:
        numbers.append(number)

    before = signal.signal(signal.SIGTERM, handle)
    yield numbers
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("delay", [0, 0.01])
async def test_signal_sets_stopping_and_reaches_the_previous_handler(received: list[int], delay: float) -> None:
    runtime = Runtime(Settings(shutdown_delay_seconds=delay))
    with watch_shutdown_signals(runtime):
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await runtime.stopping.wait()
    assert received == [signal.SIGTERM]

    runtime.stopping.clear()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0)
    assert not runtime.stopping.is_set()


async def test_server_stops_after_the_shutdown_delay_or_a_second_signal(received: list[int]) -> None:
    runtime = Runtime(Settings(shutdown_delay_seconds=3600))
    with watch_shutdown_signals(runtime):
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.01)
        assert runtime.draining
        assert not runtime.stopping.is_set()
        assert received == []

        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.01)
    assert runtime.stopping.is_set()
    assert received == [signal.SIGTERM]


def test_other_threads_do_not_watch_signals() -> None:
    async def watch() -> bool:
        runtime = Runtime(Settings())
        with watch_shutdown_signals(runtime):
            return runtime.stopping.is_set()

    assert run_in_thread(lambda: asyncio.run(watch())) is False


@pytest.mark.parametrize(("minutes", "continues"), [(None, True), (1, True), (-1, False)])
async def test_endless_response_ends_when_credentials_expire(
    app: FastAPI, minutes: int | None, continues: bool
) -> None:
    request = Request({"type": "http", "app": app})
    if minutes is not None:
        request.scope["valid_until"] = datetime.now(UTC) + timedelta(minutes=minutes)

    assert should_continue(request) is continues


async def test_endless_response_ends_when_the_server_stops(app: FastAPI) -> None:
    request = Request({"type": "http", "app": app})
    await sleep_or_stop(request, 0)
    assert should_continue(request)

    runtime_of(app).stopping.set()
    await sleep_or_stop(request, 3600)
    assert not should_continue(request)
