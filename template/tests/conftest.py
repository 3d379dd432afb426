"""Fixtures for every test.

Each xdist worker has a migrated database of its own. A test sees it through one
connection whose transaction is rolled back at the end; the app's own commits become
savepoints in it, so the code under test is the code in production. Tests that need real
commits (several connections at once) take `live` instead, which deletes what they leave.
"""

import gc
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from importlib import import_module
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core import events
from app.core.config import Environment, EnvSettings, Settings, load
from app.db import dialect, migrations
from app.db.base import Base
from app.db.session import Database, transaction
from app.main import create_app
from app.start import NEW_OBJECTS
from tests.database import create_database
from tests.waiting import TIMEOUT_SECONDS

# What gives up after some seconds in production waits here: no test depends on the speed of the machine.
LIMITS = {
    "REQUEST_TIMEOUT_SECONDS": f"{TIMEOUT_SECONDS}",
    "DATABASE_POOL_TIMEOUT_SECONDS": f"{TIMEOUT_SECONDS}",
    "DATABASE_CONNECT_TIMEOUT_SECONDS": f"{TIMEOUT_SECONDS}",
    "DATABASE_STATEMENT_TIMEOUT_MS": f"{TIMEOUT_SECONDS}000",
    "DATABASE_LOCK_TIMEOUT_MS": f"{TIMEOUT_SECONDS}000",
    "DATABASE_BUSY_TIMEOUT_MS": f"{TIMEOUT_SECONDS}000",
}

SILENCE_SECONDS = 15
test_reported, session_finished = Event(), Event()


def pytest_configure() -> None:
    """Say that these are tests before a module is imported that asks, also for editors and `uv run pytest`."""
    os.environ["ENV"] = Environment.TEST


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Let the garbage collector leave alone what is there before the first test, and wait for more than Python lets it."""
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Say now and then that something goes on: on a busy machine, to import the app and to collect takes a minute."""
    Thread(target=report_silence, args=[config.pluginmanager.getplugin("terminalreporter")], daemon=True).start()


def pytest_runtest_logreport() -> None:
    test_reported.set()


def pytest_sessionfinish() -> None:
    session_finished.set()
    test_reported.set()


def report_silence(terminal: pytest.TerminalReporter) -> None:
    """Write a line whenever no test was reported for a while, until the end."""
    while not session_finished.is_set():
        if not test_reported.wait(SILENCE_SECONDS):
            terminal.write_line(f"\nno result for {SILENCE_SECONDS} seconds: still collecting, or a slow test")
        test_reported.clear()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all processes of this test run share, and no other run."""
    own = tmp_path_factory.getbasetemp()
    return own if worker_id == "master" else own.parent


@pytest.fixture(scope="session", autouse=True)
def environment(shared: Path, worker_id: str) -> None:
    """Describe the test environment to everything that reads it, and migrate the database."""
    database_url = create_database(shared, f"test_{worker_id}")
    for name in variables():  # what a developer has set for the service is not for its tests
        os.environ.pop(name, None)
    os.environ.update(LIMITS, ENV=Environment.TEST, DATABASE_URL=database_url)
    in_a_thread(migrations.upgrade)


def variables(base: type[EnvSettings] = EnvSettings) -> set[str]:
    """The environment variables of all settings classes, whatever is switched on."""
    own = {base.variable(field) for field in base.model_fields}
    return own.union(*(variables(child) for child in base.__subclasses__() if child.__module__.startswith("app.")))


def in_a_thread(function: Any, *arguments: Any) -> Any:
    """Call what runs an event loop of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *arguments).result()


@pytest.fixture(scope="session")
def imported() -> set[str]:
    """The modules that a process has imported when it begins to answer."""
    serve = "import sys; from app import cli; cli.create_app(); print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", serve], check=True, capture_output=True, text=True).stdout.split())


@pytest.fixture
def settings() -> Settings:
    """Settings of the app under test; override it in a module to test others."""
    return load(Settings)


@pytest.fixture(scope="session")
async def live_database() -> AsyncGenerator[Database]:
    """The database as the app opens it."""
    async with dialect.open_database(load(dialect.DatabaseSettings)) as database:
        yield database


@pytest.fixture
async def database(live_database: Database) -> AsyncGenerator[Database]:
    """A database whose commits last until the end of the test."""
    engine = live_database.writers.kw["bind"]
    async with engine.connect() as connection:
        outer = await connection.begin()
        sessions = async_sessionmaker(
            connection, class_=AsyncSession, expire_on_commit=False, join_transaction_mode="create_savepoint"
        )
        yield Database(writers=sessions, readers=sessions, lookups=sessions, probe=live_database.probe)
        await outer.rollback()


@pytest.fixture
async def session(database: Database) -> AsyncGenerator[AsyncSession]:
    """A session for tests below HTTP."""
    async with database.writers() as session:
        yield session


@pytest.fixture
def app(settings: Settings, database: Database) -> FastAPI:
    """The app on the test's database; its lifespan does not run."""
    app = create_app(settings)
    app.state.database = database
    return app


@pytest.fixture
async def client(app: FastAPI) -> AsyncGenerator[AsyncClient]:
    """A client that talks to the app without a socket."""
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        yield client


@pytest.fixture
async def live(live_database: Database, settings: Settings) -> AsyncGenerator[AsyncClient]:
    """A client whose requests commit for real, each in its own transaction."""
    app = create_app(settings)
    app.state.database = live_database
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        yield client
    async with transaction(live_database.writers) as session:
        for table in reversed(Base.metadata.sorted_tables):
            await session.exec(table.delete())


OwnRegistry = Callable[[str], Any]


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> OwnRegistry:
    """Give the test a copy of what a module registers, so that its changes end with it: `own_registry("app.x._things")`."""

    def replace(name: str) -> Any:
        module, _, attribute = name.rpartition(".")
        registry = copy(getattr(import_module(module), attribute))
        monkeypatch.setattr(name, registry)
        return registry

    return replace


@pytest.fixture
def published(own_registry: OwnRegistry) -> list[events.Event]:
    """The events that are published, which nobody handles meanwhile."""
    seen: list[events.Event] = []

    async def record(_: AsyncSession, event: events.Event) -> None:
        seen.append(event)

    handlers = own_registry("app.core.events._handlers")
    handlers.clear()
    handlers[events.Event].append(record)
    return seen


@pytest.fixture
def project() -> Path:
    """The root of the project."""
    return Path(__file__).parents[1]
