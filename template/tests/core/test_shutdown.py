"""Noticing that the process is told to stop."""

import asyncio
import os
import signal
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI, Request

from app.core.shutdown import goes_on, noticing_shutdown, pause
from tests.conftest import in_a_thread
from tests.waiting import TIMEOUT_SECONDS


@pytest.fixture
def received() -> Generator[list[int]]:
    """Signals that reach the handler which was there before, as uvicorn's is."""
    numbers: list[int] = []

    def handle(number: int, _: Any) -> None:
        numbers.append(number)

    before = signal.signal(signal.SIGTERM, handle)
    yield numbers
    signal.signal(signal.SIGTERM, before)


async def test_a_signal_is_noticed_and_passed_on(received: list[int]) -> None:
    stopping = asyncio.Event()
    with noticing_shutdown(stopping):
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await stopping.wait()
    assert received == [signal.SIGTERM]

    stopping.clear()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0)
    assert not stopping.is_set()


def test_outside_the_main_thread_there_is_nothing_to_notice() -> None:
    async def watch() -> bool:
        stopping = asyncio.Event()
        with noticing_shutdown(stopping):
            return stopping.is_set()

    assert in_a_thread(lambda: asyncio.run(watch())) is False


@pytest.mark.parametrize(("minutes", "goes"), [(None, True), (1, True), (-1, False)])
async def test_an_answer_goes_on_as_long_as_the_sign_in(app: FastAPI, minutes: int | None, goes: bool) -> None:
    request = Request({"type": "http", "app": app})
    if minutes is not None:
        request.scope["valid_until"] = datetime.now(UTC) + timedelta(minutes=minutes)

    assert goes_on(request) is goes


async def test_an_answer_ends_when_the_server_stops(app: FastAPI) -> None:
    request = Request({"type": "http", "app": app})
    await pause(request, 0)
    assert goes_on(request)

    app.state.stopping.set()
    await pause(request, 3600)
    assert not goes_on(request)
