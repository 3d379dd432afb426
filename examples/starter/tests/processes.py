"""Runs background tasks in this process, or commands in separate processes."""

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient

from tests.test_cli import free_port
from tests.waiting import TIMEOUT_SECONDS


@asynccontextmanager
async def running_app(create: Callable[[], FastAPI]) -> AsyncGenerator[AsyncClient]:
    """Run an app with its background tasks in this process."""
    app = create()
    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=ASGITransport(app), base_url="http://test") as client,
    ):
        yield client


def running_tasks() -> set[str]:
    """Return the class names of running background tasks, such as relays and schedulers."""
    frames = (getattr(task.get_coro(), "cr_frame", None) for task in asyncio.all_tasks())
    return {type(frame.f_locals["self"]).__name__ for frame in frames if frame and "self" in frame.f_locals}


class RunningProcess:
    """A process that a test has started."""

    def __init__(self, process: Process, url: str, log: Path) -> None:
        self.process = process
        self.url = url
        self.log = log

    @property
    def log_text(self) -> str:
        """The output so far."""
        return self.log.read_text()

    async def wait_until_ready(self) -> dict[str, str]:
        """Wait until the process is ready, and return its health checks."""
        with suppress(TimeoutError):
            async with asyncio.timeout(TIMEOUT_SECONDS), AsyncClient(timeout=TIMEOUT_SECONDS) as client:
                while self.process.returncode is None:
                    with suppress(httpx2.TransportError):
                        health = await client.get(f"{self.url}/health")
                        if health.status_code == 200:
                            checks: dict[str, str] = health.json()["checks"]
                            return checks
                    await asyncio.sleep(0.05)
        pytest.fail(f"The process did not become ready:\n{self.log_text}")


@asynccontextmanager
async def start_process(command: str, folder: Path, **variables: str) -> AsyncGenerator[RunningProcess]:
    """Run a command during the block, and stop it with SIGTERM."""
    program, port = str(Path(sys.executable).with_name("app")), free_port()
    log = folder / f"{port}.log"  # see tests/test_cli.py
    with log.open("w") as file:
        started = await asyncio.create_subprocess_exec(
            program,
            *command.split(),
            "--port",
            str(port),
            cwd=folder,
            env=os.environ | variables,
            stdout=file,
            stderr=file,
        )
    running = RunningProcess(started, f"http://127.0.0.1:{port}", log)
    try:
        yield running
    finally:
        with suppress(ProcessLookupError):
            started.terminate()
        await asyncio.wait_for(started.wait(), TIMEOUT_SECONDS)
    assert started.returncode == 0, running.log_text
