"""The processes in the background: the app without its routes, and with every module's tasks."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient

from app import tasks


@pytest.mark.parametrize("create", [tasks.create_worker, tasks.create_scheduler])
async def test_a_process_in_the_background_answers_for_its_health_and_nothing_else(
    create: Callable[[], FastAPI], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://localhost")
    async with AsyncClient(transport=ASGITransport(create()), base_url="http://test") as client:
        assert (await client.get("/health/live")).status_code == 200
        assert (await client.get("/api/v1/users")).status_code == 404


def test_the_tasks_of_every_module_are_listed(project: Path) -> None:
    """A process that has not imported a task does not know it, and its jobs would end as dead letters."""
    written = {path.parent.name for path in (project / "app/modules").glob("*/tasks.py")}
    features = (project / "app/features.py").read_text(encoding="utf-8")

    assert set(re.findall(r"^from app\.modules\.(\w+) import tasks\b", features, re.MULTILINE)) == written
